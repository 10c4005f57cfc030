/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A deterministic scheduler for the library's own code. Threads are fibres of one thread; each
 * access to a shared word, each sleep and each fence is a point at which another may go on, and
 * each look at a word may see an older value where the memory order allows it. All that is up to
 * chance in reality is up to the scheduler here: it tries all ways that differ in few places from
 * the simplest one, and many others by chance, and can repeat each exactly.
 *
 * A test program has a table of scenarios and calls sched_main. sched.c tells how the search works,
 * memory.c what a look may see.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define SCHED_FIBRES_MAX 8

/*
 * How far an execution may be from the simplest one, in which a thread goes on until it ends or
 * sleeps, looks see the newest value, and time passes when nobody can run.
 */
struct sched_bounds {
	int switches; /* a thread is stopped in the middle and another goes on */
	int looks;    /* a look sees an older value */
	int ticks;    /* time passes though somebody could run */
	int wakes;    /* somebody wakes for no reason */
	int stops;    /* a thread is stopped for good (one of `stoppable`) */
	int total;    /* all of these together; 0: no bound of its own */
};

struct sched_scenario {
	const char *name;
	/* Alone, before the threads begin: no step of it is divided. */
	void (*set_up)(void);
	/* The threads, up to SCHED_FIBRES_MAX. */
	struct {
		const char *name;
		void (*run)(void);
	} thread[SCHED_FIBRES_MAX];
	/* Alone: when nothing happens any more until time passes. May be NULL. */
	void (*at_rest)(void);
	/* Alone: when all threads have ended, or those left sleep for ever and one was stopped. */
	void (*at_end)(void);
	struct sched_bounds bounds;
	unsigned stoppable;   /* bit i: thread i may be stopped for good */
	uint64_t most;        /* executions of the search by order; 0: all there are */
	uint64_t random;      /* executions by chance besides */
	uint64_t longest;     /* steps an execution may take; 0: 20000 */
	bool waits_to_search; /* until sched_search */
	bool as_x86;          /* looks see what x86 may show, not what C11 may */
	bool only_by_chance;  /* for what is too big to be searched by order */
	/* The scenario is right if some execution fails, saying this. NULL: none may. */
	const char *must_fail;
};

/* Runs what the command line says, by default all scenarios; to be returned from main. */
int sched_main(int argc, char **argv, const struct sched_scenario *scenario);

/* Ends the execution as failed. */
_Noreturn void sched_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define sched_check(x) ((x) ? (void)0 : sched_fail("%s (%s:%d)", #x, __FILE__, __LINE__))

/* The running thread's number, or -1 when alone. */
int sched_self(void);

/* When alone: acts as thread i from here on, as far as thread-local variables go; -1: as nobody. */
void sched_act_as(int i);

/* The running thread ends here, with the destructors of its thread-specific values. */
_Noreturn void sched_thread_exit(void);

/* Whether thread i was stopped for good; has ended; sleeps. */
bool sched_is_stopped(int i);
bool sched_has_ended(int i);
bool sched_is_asleep(int i);
bool sched_anybody_stopped(void);

/* Whether time has passed while somebody could run. */
bool sched_hurried(void);

/* Whether somebody sleeps on this word; since when and until when. */
bool sched_sleeps_on(const volatile void *word, int64_t *since_ns, int64_t *until_ns);

/* The running thread is not stopped at its next so many steps. */
void sched_undivided(int steps);

/* The modelled time. */
int64_t sched_now(void);

/* Sleeps until then, or until until(arg). */
void sched_sleep_until(int64_t deadline_ns);
void sched_await(bool (*until)(void *arg), void *arg);
void sched_await_until(bool (*until)(void *arg), void *arg, int64_t deadline_ns);

/* Runs the n-th thread that the library starts, when it has started it. */
void sched_run_started(int n);
bool sched_started_has_ended(int n);

/* All stores so far have become visible to all. */
void sched_settle(void);

/* A point of the scenario's own: others may go on here. */
void sched_pause(void);

/*
 * What has to be gone through before and after the part that matters: the search by order leaves
 * executions as they are until sched_search(true) and from sched_search(false) on.
 */
void sched_search(bool on);

/* A number below bound that the scheduler chooses: all of them are tried. */
int sched_choose(int bound);

/* Names a shared word in traces. */
void sched_name(const volatile void *word, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line in the trace. */
void sched_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
