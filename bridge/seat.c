#include "bridge/seat.h"

#include "bridge/page.h"

void seat_init(struct seat *seat, struct bridge *bridge, unsigned index)
{
    seat->bridge = bridge;
    seat->worker.seat = index;
    seat->page_fd = seat->error_fd = seat->output_fd = seat->channel_fd = seat->template_fd =
        seat->control = -1;
    list_init(&seat->process.place);
    pthread_mutex_init(&seat->lock, NULL);
}

struct link *seat_link(struct seat *seat)
{
    pthread_mutex_lock(&seat->lock);
    struct link *link = seat->link ? link_ref(seat->link) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return link;
}

struct link *seat_link_of(struct seat *seat, struct worker_ref worker)
{
    pthread_mutex_lock(&seat->lock);
    bool same = seat->link && seat->worker.number == worker.number;
    struct link *link = same ? link_ref(seat->link) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return link;
}

struct channel *seat_channel_of(struct seat *seat, struct worker_ref worker)
{
    pthread_mutex_lock(&seat->lock);
    bool same = seat->channel && seat->worker.number == worker.number;
    struct channel *channel = same ? channel_ref(seat->channel) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return channel;
}

/* In constant time, since it compares a secret. */
static bool token_matches(const struct seat *seat, struct bytes token)
{
    unsigned difference = 0;
    if (token.len != START_TOKEN_BYTES)
        return false;
    for (unsigned i = 0; i < START_TOKEN_BYTES; i++)
        difference |= (unsigned)(seat->token[i] ^ (uint8_t)token.data[i]);
    return difference == 0;
}

bool seat_runs(struct seat *seat, struct worker_ref worker, uint64_t call_id)
{
    pthread_mutex_lock(&seat->lock);
    bool runs = seat->page && seat->worker.number == worker.number &&
                page_shows_running(seat->page, call_id);
    pthread_mutex_unlock(&seat->lock);
    return runs;
}

bool seat_attach(struct seat *seat, const struct frame_hello *hello, struct link *link,
                 struct worker_ref *out_worker)
{
    pthread_mutex_lock(&seat->lock);
    bool match = seat->id[0] && !seat->link && bytes_equal(bytes_of(seat->id), hello->worker_id) &&
                 token_matches(seat, hello->token);
    if (match) {
        seat->link = link_ref(link);
        *out_worker = seat->worker;
    }
    pthread_mutex_unlock(&seat->lock);
    return match;
}

bool seat_detach(struct seat *seat, struct link *link)
{
    struct link *mine = NULL;
    pthread_mutex_lock(&seat->lock);
    if (seat->link == link) {
        mine = seat->link;
        seat->link = NULL;
    }
    pthread_mutex_unlock(&seat->lock);
    bool was = mine != NULL;
    link_unref(&mine);
    return was;
}
