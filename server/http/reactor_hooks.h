/* What others hang on a reactor: hooks, and tenants. All of it runs on the reactor's thread. */
#ifndef SNAKEPIT_SERVER_HTTP_REACTOR_HOOKS_H
#define SNAKEPIT_SERVER_HTTP_REACTOR_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct reactor;

/* What the owner of the reactors hooks in. */
struct reactor_hooks {
    void (*on_turn_end)(
        struct reactor *reactor); /* after a turn that did work, before sleep; may be NULL */
    void (*on_second)(
        struct reactor *reactor); /* once a second, while it drains too; may be NULL */
    void *context;                /* reactor_context() gives it back */
};

/* Something that lives on a reactor, embedded in it: a protocol with its connections, the listener.
 */
struct tenant {
    const struct tenant_ops *ops;
};

struct tenant_ops {
    /* Once a turn: does what can be done without waiting; cheap when nothing has happened. And
     * whether there is more to do already. Both may be NULL. */
    void (*run)(struct tenant *tenant);
    bool (*is_due)(const struct tenant *tenant);
    /* Once a second, more often while the reactor drains: ends what is overdue. */
    void (*sweep)(struct tenant *tenant, uint64_t now_us);
    /* Takes no more connections. May be NULL. */
    void (*stop_accepting)(struct tenant *tenant);
    /* The end begins: goes on with the answers that are owed. */
    void (*drain)(struct tenant *tenant);
    /* Ends every connection; exchanges without an answer are gone. */
    void (*cut)(struct tenant *tenant);
    /* No connection is left. */
    bool (*is_empty)(const struct tenant *tenant);
    /* Closes what it has on the loop; all tenants are empty. */
    void (*stop)(struct tenant *tenant);
    /* After that, and after the loop has run. */
    void (*free)(struct tenant *tenant);
};

#endif
