/* A worker's started-call page (see BOOT.md): memory shared with the worker, in which it notes what
 * it starts. */
#ifndef SNAKEPIT_BRIDGE_PAGE_H
#define SNAKEPIT_BRIDGE_PAGE_H

#include "pool/runtime.h"

/* Makes a page. Returns the mapping, and in `out_fd` a close-on-exec descriptor to hand to the
 * worker, which the caller closes; NULL with errno when there is no memory. */
const void *page_new(int *out_fd);
void page_free(const void **page);

/* What the page says. To be called once its worker is dead. */
void page_read(const void *page, struct started_calls *out_started);

#endif
