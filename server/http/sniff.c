#include "server/http/sniff.h"

#include <string.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
_Static_assert(sizeof(preface) - 1 == SNIFF_PREFACE_LEN, "the preface of RFC 9113 has 24 bytes");

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

enum sniff_verdict sniff(struct bytes start)
{
    size_t len = start.len < SNIFF_PREFACE_LEN ? start.len : SNIFF_PREFACE_LEN;
    if (len > 0 && memcmp(start.data, preface, len) != 0)
        return is_letter(start.data[0]) ? SNIFF_HTTP1 : SNIFF_JUNK;
    return len == SNIFF_PREFACE_LEN ? SNIFF_HTTP2 : SNIFF_MORE;
}
