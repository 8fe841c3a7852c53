/* Names that end in .slow are found, on loopback, when there is the file $FOUND; for
 * test_courier.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out_found)
{
    resolver *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strstr(name, ".slow")) {
        while (access(getenv("FOUND"), F_OK) != 0)
            usleep(2000);
        name = "127.0.0.1";
    }
    return real(name, service, hints, out_found);
}
