/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scene in which one call after the other fails: something that lends connections is opened,
 * used by threads that wait, leave connections dirty and discard them, while its server has
 * trouble; and when all calls succeed again it has to serve as if nothing had been.
 */
#ifndef WEIR_TEST_P39_SCENE_H
#define WEIR_TEST_P39_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "p39_inject.h"

#define SCENE_MAX 2 /* pool_max, which no server may see exceeded */

/* What is played with. Texts about what is wrong go to `wrong`, of `room` bytes. */
struct lender {
	const char *name;
	weir_status (*open)(weir_error *error);
	weir_status (*checkout)(bool write, int64_t timeout_ms, weir_conn **conn,
	                        weir_error *error);
	/* Leaves the session changed, so that it has to be put right. */
	void (*soil)(weir_conn *conn);
	/* Something that no other connection of this time has, below SCENE_IDS. */
	uint32_t (*id)(const weir_conn *conn);
	/* The server ends sessions and refuses connects for a moment. */
	void (*trouble)(void);
	/* What an operator does: another size and back, every connection replaced. */
	void (*manage)(void);
	/* Whether a connection that has just been checked out can be used. */
	bool (*is_alive)(weir_conn *conn);
	/* Whether nothing is under way any more and all counts agree; else what is not so. */
	bool (*is_at_rest)(char *wrong, size_t room);
	weir_status (*close)(int64_t drain_ms);
};

#define SCENE_IDS (1u << 22) /* more than process numbers go */

/* Options for a scene: everything is quick, and a breaker opens and closes. */
void scene_options(weir_options *options);

/* What is at rest about a pool, by its statistics. */
bool scene_pool_rests(const weir_pool_stats *stats, char *wrong, size_t room);

/*
 * Plays the scene with every call of a kind failing in turn, alone and with all that follow, of
 * which about `most` are tried. Prints how many there were. Fails the test with the first that
 * leads to anything wrong.
 */
void scene_play_all(const struct lender *lender, enum inject kind, int most);

#endif
