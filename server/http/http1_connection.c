/* What is done to a connection of libmicrohttpd's, by whoever works on its request. */
#include "server/http/http1_inside.h"

#include <sys/epoll.h>

/* When a body breaks off, libmicrohttpd 0.9.75 destroys the pool, but releases the connection only
 * at its next event: there is none, because a connection that was suspended is not in its epoll
 * set. A connection with a timeout of its own (here: none) is looked after in each run. */
void http1_let_go(struct http1_connection *connection)
{
    connection->memory = NULL;
    connection->is_resident = false;
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    connection->http1->due = true;
}

void http1_await_room(struct http1_connection *connection, bool wanted)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET | (wanted ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (epoll_ctl(connection->http1->leaving_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0)
        shutdown(connection->fd, SHUT_RDWR); /* was never watched: see on_opened() */
}

void http1_read_on(struct http1_connection *connection)
{
    if (!connection->peer_left || !list_empty(&connection->leaving))
        return;
    list_push_back(&connection->http1->leavers, &connection->leaving);
    connection->http1->due = true;
}

void http1_resume(struct http1_exchange *request)
{
    MHD_resume_connection(request->connection->mhd);
    request->connection->http1->due = true;
}
