/* Lists of hosts, "host,host:port,*.domain,*.domain:port", and what a request may be sent to. Pure
 * functions. */
#ifndef SNAKEPIT_SERVER_HTTP_HOSTS_H
#define SNAKEPIT_SERVER_HTTP_HOSTS_H

#include "base/bytes.h"

/* Whether the list, which may be NULL, has that host with that port; "*.domain" is every host
 * below. */
bool hosts_have(const char *list, struct bytes host, struct bytes port);

/* Whether a request may be for `authority`, "host" or "host:port": any in the list, or any at all
 * if "*" is in it. Addresses and localhost always may, and so may what is empty: a page whose own
 * name leads here by a forged answer of DNS (rebinding) has another name. */
bool hosts_serve(const char *list, struct bytes authority);

#endif
