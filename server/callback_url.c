#include "server/callback_url.h"

#include "base/bytes.h"
#include "server/media.h"

#include <strings.h>

/* `pattern`: "host", "host:port", "*.domain" or "*.domain:port". */
static bool allows(struct bytes pattern, struct bytes host, struct bytes port)
{
    struct bytes name = pattern;
    const char *colon = memrchr(pattern.data, ':', pattern.len);
    if (colon && !memchr(colon, ']', (size_t)(pattern.data + pattern.len - colon))) {
        name.len = (size_t)(colon - pattern.data);
        if (!bytes_equal(bytes_skip(pattern, name.len + 1), port))
            return false;
    }
    if (!bytes_starts_with(name, BYTES("*.")))
        return bytes_equal_nocase(name, host);
    name = bytes_skip(name, 1);
    return host.len > name.len && bytes_equal_nocase(bytes_skip(host, host.len - name.len), name);
}

static bool is_allowed(const char *allow, const char *host, const char *port)
{
    struct bytes left = bytes_of(allow);
    while (left.len) {
        struct bytes pattern = media_cut(&left, ',');
        if (pattern.len && allows(pattern, bytes_of(host), bytes_of(port)))
            return true;
    }
    return false;
}

static const char not_allowed[] = "callbacks.allow does not have that host and port";

static const char *fault_of(const struct libcurl *curl, const char *allow, CURLU *url,
                            unsigned *status)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
    const char *fault = NULL;
    *status = 400;
    if (curl->url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0))
        fault = "the URL must begin with http:// or https://";
    else if (curl->url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
        fault = "the URL must not have a user in it: give a secret";
    else if (curl->url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
             curl->url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        fault = "the URL has no host";
    if (!fault && !is_allowed(allow, host, port)) {
        *status = 403;
        fault = not_allowed;
    }
    curl->free(scheme);
    curl->free(host);
    curl->free(port);
    curl->free(user);
    return fault;
}

const char *callback_url_fault(const struct libcurl *curl, const char *allow, const char *url,
                               unsigned *out_status)
{
    const char *fault = "the URL is none";
    *out_status = 403;
    if (!curl)
        return not_allowed;
    CURLU *parsed = curl->url();
    *out_status = 400;
    if (curl->url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        fault = fault_of(curl, allow, parsed, out_status);
    curl->url_cleanup(parsed);
    return fault;
}
