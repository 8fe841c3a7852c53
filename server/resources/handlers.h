/* The handlers of all routes, by the file they live in. */
#ifndef SNAKEPIT_SERVER_RESOURCES_HANDLERS_H
#define SNAKEPIT_SERVER_RESOURCES_HANDLERS_H

struct exchange;

/* execute.c */
void execute_post(struct exchange *exchange);

/* stream.c */
void stream_post(struct exchange *exchange);
void stream_get(struct exchange *exchange);
void stream_events(struct exchange *exchange);

/* sessions.c */
void sessions_post(struct exchange *exchange);
void sessions_list(struct exchange *exchange);
void sessions_get(struct exchange *exchange);
void sessions_patch(struct exchange *exchange);
void sessions_delete(struct exchange *exchange);

/* variables.c */
void variables_get_all(struct exchange *exchange);
void variables_patch(struct exchange *exchange);
void variables_get(struct exchange *exchange);
void variables_put(struct exchange *exchange);
void variables_delete(struct exchange *exchange);

/* tools.c */
void tools_list(struct exchange *exchange);
void tools_get(struct exchange *exchange);
void tools_post(struct exchange *exchange);

/* pools.c */
void pools_list(struct exchange *exchange);
void pools_get(struct exchange *exchange);
void pools_patch(struct exchange *exchange);
void pools_reload(struct exchange *exchange);
void pools_poison(struct exchange *exchange);
void pools_forgive(struct exchange *exchange);

/* workers.c */
void workers_list(struct exchange *exchange);
void workers_get(struct exchange *exchange);
void workers_recycle(struct exchange *exchange);

/* calls.c */
void calls_list(struct exchange *exchange);
void calls_get(struct exchange *exchange);
void calls_cancel(struct exchange *exchange);
void calls_result(struct exchange *exchange);

/* registration.c */
void registration_post(struct exchange *exchange);
void registration_delete(struct exchange *exchange);

/* tool_results.c */
void tool_results_post(struct exchange *exchange);

/* probes.c */
void probes_live(struct exchange *exchange);
void probes_ready(struct exchange *exchange);
void probes_startup(struct exchange *exchange);

/* scrape.c */
void scrape_get(struct exchange *exchange);

/* description.c */
void description_get(struct exchange *exchange);
void description_page(struct exchange *exchange);

#endif
