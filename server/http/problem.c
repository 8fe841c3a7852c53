#include "server/http/problem.h"

void problem_respond(struct exchange *exchange, const struct problem *problem)
{
    struct response response;
    problem_answer(problem, exchange->path, exchange->request_id, exchange->arena, &response);
    exchange_respond(exchange, &response);
}
