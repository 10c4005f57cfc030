/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The marked windows of the core (WI_YIELD), each by name. lint.points keeps the list complete.
 */
#ifndef WEIR_TEST_POINTS_H
#define WEIR_TEST_POINTS_H

/* clang-format off */
#define TEST_POINTS(X)                                                                             \
	X("bias.revoke.fenced")                                                                    \
	X("bias.revoke.held")                                                                      \
	X("cache.put.alone")                                                                       \
	X("cache.put.cached")                                                                      \
	X("cache.put_shared.alone")                                                                \
	X("cache.steal.out")                                                                       \
	X("cache.steal.seen")                                                                      \
	X("cache.take.seen")                                                                       \
	X("cache.take.taking")                                                                     \
	X("cache.take_shared.seen")                                                                \
	X("core.give.pushed")                                                                      \
	X("core.leave.left")                                                                       \
	X("core.put.cached")                                                                       \
	X("core.wait.announced")                                                                   \
	X("core.wait.overdue")                                                                     \
	X("freelist.pop.next")                                                                     \
	X("freelist.push.next")                                                                    \
	X("waitq.announce.counted")                                                                \
	X("waitq.decide.chosen")                                                                   \
	X("waitq.nudge.chosen")                                                                    \
	X("waitq.nudge.token")                                                                     \
	X("waitq.yield.unsaid")
/* clang-format on */

#endif
