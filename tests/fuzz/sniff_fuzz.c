/* Properties of the protocol sniffer, for any bytes: it asks for more only while they are a part of
 * the preface; what it has decided stays decided whatever follows; bytes behind the preface do not
 * matter. */
#include "server/http/sniff.h"

#include "fuzz.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static bool is_part_of_preface(struct bytes start)
{
    return start.len == 0 || memcmp(start.data, preface, start.len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum sniff_verdict before = SNIFF_MORE;
    for (size_t len = 0; len <= size && len <= 2 * SNIFF_PREFACE_LEN; len++) {
        struct bytes start = bytes_from(data, len);
        enum sniff_verdict now = sniff(start);
        fuzz_require(before == SNIFF_MORE || now == before, "a decision stands");
        if (len < SNIFF_PREFACE_LEN)
            fuzz_require((now == SNIFF_MORE) == is_part_of_preface(start),
                         "only a part of the preface asks for more");
        else
            fuzz_require(now != SNIFF_MORE, "so many bytes are enough");
        before = now;
    }
    return 0;
}
