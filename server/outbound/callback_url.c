#include "server/outbound/callback_url.h"

#include "server/http/hosts.h"

#include <strings.h>

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
    if (!fault && !hosts_have(allow, bytes_of(host), bytes_of(port))) {
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
