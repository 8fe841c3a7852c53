#include "pool/effects.h"

/* The pool's reference travels with the mail: whoever drains the mailbox drops it. */
void effects_answer(struct effects *effects, struct call *call)
{
    unsigned i = 0;
    while (i < effects->home_count && effects->homes[i].box != call->home)
        i++;
    if (i == EFFECTS_HOMES) {
        mailbox_post(call->home, &call->mail);
        return;
    }
    call->mail.next = NULL;
    if (i == effects->home_count) {
        effects->homes[i].box = call->home;
        effects->homes[i].first = &call->mail;
        effects->home_count++;
    } else {
        effects->homes[i].last->next = &call->mail;
    }
    effects->homes[i].last = &call->mail;
}

/* A call that is kept for its outcome is no use of its session any more. */
static void release_sessions(struct mail *first)
{
    for (struct mail *mail = first; mail; mail = mail->next)
        session_unref(&CONTAINER_OF(mail, struct call, mail)->session);
}

/* Each may be gone once it has been told. */
static void give_up(struct nested *abandoned)
{
    while (abandoned) {
        struct nested *next = abandoned->next;
        abandoned->give_up(abandoned);
        abandoned = next;
    }
}

void effects_apply(struct effects *effects, struct runtime *runtime)
{
    for (unsigned i = 0; i < effects->home_count; i++) {
        release_sessions(effects->homes[i].first);
        mailbox_post_chain(effects->homes[i].box, effects->homes[i].first, effects->homes[i].last);
    }
    for (unsigned i = 0; i < effects->invoke_count; i++) {
        runtime->ops->invoke(runtime, effects->invokes[i].worker, effects->invokes[i].call_id,
                             effects->invokes[i].call, effects->invokes[i].remaining_us,
                             effects->invokes[i].session_begins);
        call_unref(&effects->invokes[i].call);
    }
    for (unsigned i = 0; i < effects->cancel_count; i++) {
        bool recall = effects->cancels[i].recall;
        (recall ? runtime->ops->recall : runtime->ops->cancel)(runtime, effects->cancels[i].worker,
                                                               effects->cancels[i].call_id);
    }
    for (unsigned i = 0; i < effects->credit_count; i++)
        runtime->ops->credit(runtime, effects->credits[i].worker, effects->credits[i].call_id,
                             effects->credits[i].bytes);
    for (unsigned i = 0; i < effects->start_count; i++)
        runtime->ops->start(runtime, effects->starts[i].worker, effects->starts[i].id);
    for (unsigned i = 0; i < effects->stop_count; i++) {
        bool refork = effects->stops[i].refork;
        (refork ? runtime->ops->refork : runtime->ops->stop)(runtime, effects->stops[i].worker,
                                                             effects->stops[i].grace_us);
    }
    if (effects->flush && (effects->invoke_count || effects->cancel_count || effects->credit_count))
        runtime->ops->flush(runtime);
    give_up(effects->abandoned);
    if (effects->alarm_us)
        runtime->ops->alarm(runtime, effects->alarm_us);
}
