/* The table of moves of a seat: every pair of states, the legal ones and those that abort. */
#include "bridge/seat.h"

#include "../base/run.h"

#include <signal.h>

static const bool moves[SEAT_STATES][SEAT_STATES] = {
    [SEAT_EMPTY] = {[SEAT_WAITING] = true},
    [SEAT_WAITING] = {[SEAT_FORKING] = true, [SEAT_BOOTING] = true, [SEAT_EMPTY] = true},
    [SEAT_FORKING] = {[SEAT_ALIVE] = true, [SEAT_EMPTY] = true},
    [SEAT_BOOTING] = {[SEAT_ALIVE] = true, [SEAT_EMPTY] = true},
    [SEAT_ALIVE] = {[SEAT_EMPTY] = true},
};

static struct seat seat;

static void move(int pair)
{
    seat.state = (enum seat_state)(pair / SEAT_STATES);
    seat_move(&seat, (enum seat_state)(pair % SEAT_STATES));
}

START_TEST(a_seat_makes_the_moves_of_its_picture)
{
    for (int i = 0; i < SEAT_STATES * SEAT_STATES; i++) {
        if (!moves[i / SEAT_STATES][i % SEAT_STATES])
            continue;
        move(i);
        ck_assert_int_eq(seat.state, i % SEAT_STATES);
    }
}
END_TEST

START_TEST(any_other_move_of_a_seat_aborts)
{
    if (moves[_i / SEAT_STATES][_i % SEAT_STATES])
        raise(SIGABRT);
    move(_i);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("seat");
    tcase_add_test(tests, a_seat_makes_the_moves_of_its_picture);
    tcase_add_loop_test_raise_signal(tests, any_other_move_of_a_seat_aborts, SIGABRT, 0,
                                     SEAT_STATES * SEAT_STATES);
    return run_case(tests, "seat");
}
