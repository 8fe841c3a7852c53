#include "server/requests/patience.h"

#include "server/http/media.h"

#define DAY_US UINT64_C(86400000000)

enum { SECONDS_DIGITS = 5, GRPC_DIGITS = 8, MICRO_DIGITS = 6 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes digits from the front of `text`, at most `most`; returns how many. */
static unsigned take_digits(struct bytes *text, unsigned most, uint64_t *out_number)
{
    unsigned taken = 0;
    *out_number = 0;
    while (taken < most && text->len && is_digit(text->data[0])) {
        *out_number = *out_number * 10 + (uint64_t)(text->data[0] - '0');
        *text = bytes_skip(*text, 1);
        taken++;
    }
    return taken;
}

/* The part behind the point, as microseconds. False: no digits. */
static bool take_fraction(struct bytes *text, uint64_t *out_us)
{
    unsigned digits = take_digits(text, MICRO_DIGITS, out_us);
    bool more = false;
    for (unsigned i = digits; i < MICRO_DIGITS; i++)
        *out_us *= 10;
    for (; text->len && is_digit(text->data[0]); *text = bytes_skip(*text, 1))
        more |= text->data[0] != '0';
    *out_us += more;
    return digits > 0;
}

bool patience_read_seconds(struct bytes text, uint64_t *out_us)
{
    uint64_t seconds, fraction_us = 0;
    if (!take_digits(&text, SECONDS_DIGITS, &seconds))
        return false;
    if (text.len && text.data[0] == '.') {
        text = bytes_skip(text, 1);
        if (!take_fraction(&text, &fraction_us))
            return false;
    }
    uint64_t us = seconds * 1000000 + fraction_us;
    if (text.len || us == 0 || us > DAY_US)
        return false;
    *out_us = us;
    return true;
}

static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return UINT64_C(1000000);
    case 'u':
        return UINT64_C(1000);
    case 'n':
        return 1;
    default:
        return 0;
    }
}

bool patience_read_grpc(struct bytes text, uint64_t *out_us)
{
    uint64_t number;
    if (!take_digits(&text, GRPC_DIGITS, &number) || text.len != 1)
        return false;
    uint64_t unit = unit_ns(text.data[0]);
    if (unit == 0 || number == 0)
        return false;
    uint64_t us = number > DAY_US * 1000 / unit ? DAY_US : (number * unit + 999) / 1000;
    *out_us = us;
    return true;
}

/* A dictionary of RFC 8941: of members with one key the last counts. */
bool patience_read_urgency(struct bytes text, unsigned *out_urgency)
{
    int urgency = -1;
    while (text.len) {
        struct bytes member = media_cut(&text, ',');
        struct bytes item = media_cut(&member, ';');
        if (!bytes_starts_with(item, BYTES("u=")) && !bytes_equal(item, BYTES("u")))
            continue;
        bool good = item.len == 3 && item.data[2] >= '0' && item.data[2] <= '7';
        urgency = good ? item.data[2] - '0' : -1;
    }
    if (urgency >= 0)
        *out_urgency = (unsigned)urgency;
    return urgency >= 0;
}
