/* The handlers of all routes, by the file they live in. */
#ifndef SNAKEPIT_SERVER_HANDLERS_H
#define SNAKEPIT_SERVER_HANDLERS_H

struct exchange;

/* execute.c */
void execute_post(struct exchange *exchange);

/* tools.c */
void tools_list(struct exchange *exchange);
void tools_get(struct exchange *exchange);
void tools_post(struct exchange *exchange);

/* state.c */
void state_pools(struct exchange *exchange);
void state_workers(struct exchange *exchange);

/* probes.c */
void probes_live(struct exchange *exchange);
void probes_ready(struct exchange *exchange);
void probes_startup(struct exchange *exchange);

/* scrape.c */
void scrape_get(struct exchange *exchange);

/* description.c */
void description_get(struct exchange *exchange);

#endif
