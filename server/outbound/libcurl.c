#include "server/outbound/libcurl.h"

#include "base/log.h"

#include <dlfcn.h>
#include <string.h>

#define SYMBOL(name) "curl_" #name,
static const char *const symbols[] = {LIBCURL_FUNCTIONS(SYMBOL)};
enum { SYMBOLS = sizeof symbols / sizeof symbols[0] };

static bool find(void *library, struct libcurl *out_libcurl)
{
    void *found[SYMBOLS];
    _Static_assert(sizeof found == sizeof *out_libcurl, "a pointer for each function");
    for (unsigned i = 0; i < SYMBOLS; i++) {
        found[i] = dlsym(library, symbols[i]);
        if (!found[i])
            return false;
    }
    memcpy(out_libcurl, found, sizeof found);
    return true;
}

bool libcurl_load(struct libcurl *out_libcurl)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library && find(library, out_libcurl) && out_libcurl->global_init(CURL_GLOBAL_DEFAULT) == 0)
        return true;
    const char *why = dlerror();
    log_event(LOG_ERROR, "libcurl cannot be loaded: no tool can be registered with a callback",
              LOG_STR("detail", why ? why : "it does not start"), LOG_END);
    return false;
}
