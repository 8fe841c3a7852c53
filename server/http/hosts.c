#include "server/http/hosts.h"

#include "server/http/media.h"

/* Cuts the port off; empty if there is none. An IPv6 address is in brackets. */
static struct bytes cut_port(struct bytes *authority)
{
    const char *colon = authority->len ? memrchr(authority->data, ':', authority->len) : NULL;
    const char *end = authority->data + authority->len;
    if (!colon || memchr(colon, ']', (size_t)(end - colon)))
        return (struct bytes){0};
    authority->len = (size_t)(colon - authority->data);
    return bytes_skip(bytes_from(colon, (size_t)(end - colon)), 1);
}

static bool ends_with_nocase(struct bytes whole, struct bytes end)
{
    return whole.len > end.len && bytes_equal_nocase(bytes_skip(whole, whole.len - end.len), end);
}

static bool fits(struct bytes pattern, struct bytes host, struct bytes port)
{
    struct bytes wanted = cut_port(&pattern);
    if (wanted.data && !bytes_equal(wanted, port))
        return false;
    if (bytes_starts_with(pattern, BYTES("*.")))
        return ends_with_nocase(host, bytes_skip(pattern, 1));
    return bytes_equal_nocase(pattern, host);
}

bool hosts_have(const char *list, struct bytes host, struct bytes port)
{
    struct bytes left = bytes_of(list);
    while (left.len) {
        struct bytes pattern = media_cut(&left, ',');
        if (pattern.len && fits(pattern, host, port))
            return true;
    }
    return false;
}

/* Names of digits and dots alone are none for DNS. */
static bool is_address(struct bytes host)
{
    size_t i = 0;
    while (i < host.len && ((host.data[i] >= '0' && host.data[i] <= '9') || host.data[i] == '.'))
        i++;
    return i == host.len || host.data[0] == '[';
}

/* Browsers and resolvers ask nobody for these (RFC 6761, 6.3). */
static bool is_localhost(struct bytes host)
{
    return bytes_equal_nocase(host, BYTES("localhost")) ||
           ends_with_nocase(host, BYTES(".localhost"));
}

bool hosts_serve(const char *list, struct bytes authority)
{
    struct bytes host = authority, port = cut_port(&host);
    if (is_address(host) || is_localhost(host))
        return true;
    return hosts_have(list, BYTES("*"), port) ||
           hosts_have(list, host, port.len ? port : BYTES("80"));
}
