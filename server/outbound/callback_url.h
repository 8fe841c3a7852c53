/* Which URLs may be called back. */
#ifndef SNAKEPIT_SERVER_OUTBOUND_CALLBACK_URL_H
#define SNAKEPIT_SERVER_OUTBOUND_CALLBACK_URL_H

#include "server/outbound/libcurl.h"

/* Why that URL may not be called, static, or NULL; `out_status` is then 400 or 403. `curl`: NULL
 * where nothing may be called; `allow`: callbacks.allow. Any thread. */
const char *callback_url_fault(const struct libcurl *curl, const char *allow, const char *url,
                               unsigned *out_status);

#endif
