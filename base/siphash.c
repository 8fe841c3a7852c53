#include "base/siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotated(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotated(s->v1, 13) ^ s->v0;
    s->v0 = rotated(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotated(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotated(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotated(s->v1, 17) ^ s->v2;
    s->v2 = rotated(s->v2, 32);
}

static void compress(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t read_word(const char *data, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)data[i] << 8 * i;
    return word;
}

uint64_t siphash(const struct siphash_key *key, struct bytes data)
{
    struct state s = {
        .v0 = key->first ^ 0x736f6d6570736575u,
        .v1 = key->second ^ 0x646f72616e646f6du,
        .v2 = key->first ^ 0x6c7967656e657261u,
        .v3 = key->second ^ 0x7465646279746573u,
    };
    size_t whole = data.len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8)
        compress(&s, read_word(data.data + at, 8));
    uint64_t last = data.len > whole ? read_word(data.data + whole, data.len - whole) : 0;
    compress(&s, last | (uint64_t)data.len << 56);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
