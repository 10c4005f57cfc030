/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. An execution is decided by its choices: at a point, who goes on; at a look, which of the
 * values is seen. The first option is always the simplest one. The search by order goes through all
 * executions whose choices other than the first stay within the scenario's bounds (context
 * bounding: M. Musuvathi, S. Qadeer, "Iterative context bounding for systematic testing of
 * multithreaded programs", 2007): few switches find most errors, and the first failure found has
 * the fewest. Each execution begins anew and repeats the choices of the one before up to the last
 * that has an option left. After it come executions by chance, which know no bounds: half of them
 * switch at any point with small odds, half of them give the threads priorities and change those at
 * few points (S. Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, "A randomized scheduler with
 * probabilistic guarantees of finding bugs", 2010).
 *
 * Words that only one thread touches, or that nobody writes, are no points. Which those are is
 * learnt: some executions by chance first; and when the search meets a word that turns out to be
 * contended after all, it begins anew with that knowledge.
 *
 * A failed execution is told as the list of its choices, step and choice, which --replay takes:
 *
 *	17>2     at step 17, thread 2 goes on          17t   time passes up to the next deadline
 *	17r1     at step 17, the value one older       17w0  thread 0 wakes for no reason
 *	17z      the running thread stops for good     17c1  sched_choose returns 1
 */
#include "sched/sched.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sched/engine.h"

#define WARM_UP 300
#define ARENA_AT ((void *)0x7000000000)

struct engine *sched_engine;
/* ---- words ---- */

void engine_say(const char *format, ...)
{
	struct engine *e = sched_engine;
	va_list args;

	if (!e->trace)
		return;
	printf("  %5u  %-8s ", e->step, e->current >= 0 ? e->scene->thread[e->current].name : "");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void sched_note(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	engine_say("---- %s", line);
}

void sched_fail(const char *format, ...)
{
	struct engine *e = sched_engine;
	va_list args;

	va_start(args, format);
	vsnprintf(e->failure, sizeof(e->failure), format, args);
	va_end(args);
	e->failed = true;
	engine_say("FAILS: %s", e->failure);
	engine_back();
}

static void on_crash(int signal)
{
	sched_fail("signal %d: plain code used a pointer that leads nowhere", signal);
}

/* ---- an execution ---- */

static void reset(void)
{
	struct engine *e = sched_engine;

	image_restore();
	memory_reset();
	e->fibres = 0;
	while (e->fibres < FIBRES && e->scene->thread[e->fibres].run)
		e->fibres++;
	fibres_reset();
	e->current = e->acting = -1;
	e->step = e->undivided = 0;
	e->clock = 1000000;
	e->failed = e->alone = false;
	e->searching = !e->scene->waits_to_search;
	e->membarriers = -1;
	e->keys = 0;
	e->choices = e->script_at = e->depth = 0;
	memset(&e->spent, 0, sizeof(e->spent));
}

static void finish(void)
{
	struct engine *e = sched_engine;

	if (_setjmp(e->back))
		return;
	if (e->current >= 0)
		memcpy(e->fibre[e->current].locals, e->locals, e->locals_size);
	e->current = -1;
	engine_alone(e->scene->at_end);
}

static void act_as_nobody(void)
{
	sched_act_as(-1);
}

/* One execution; whether it went well. */
static bool execute(void)
{
	struct engine *e = sched_engine;

	reset();
	if (_setjmp(e->back) == 0) {
		engine_alone(e->scene->set_up);
		engine_alone(act_as_nobody);
		engine_pick_next();
	}
	if (!e->failed)
		finish();
	return !e->failed;
}

/* ---- reports ---- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_choices(const struct choice *c, uint32_t n)
{
	putchar('\'');
	for (uint32_t i = 0; i < n; i++) {
		printf("%s%u%c", i ? "," : "", c[i].step, c[i].kind);
		if (c[i].kind != 't' && c[i].kind != 'z')
			printf("%u", c[i].arg);
	}
	printf("'\n");
}

static void take_script(const struct choice *c, uint32_t n)
{
	memcpy(sched_engine->script, c, n * sizeof(*c));
	sched_engine->script_length = n;
}

/* Runs the script once more, with a trace. */
static bool replay(void)
{
	struct engine *e = sched_engine;
	bool ok;

	e->mode = REPLAY;
	e->trace = true;
	ok = execute();
	e->trace = false;
	return ok;
}

static const char *program;

static void report(uint64_t executions, double began)
{
	struct engine *e = sched_engine;
	char failure[sizeof(e->failure)];

	memcpy(failure, e->failure, sizeof(failure));
	printf("FAILED %s: %s\n", e->scene->name, failure);
	printf("  execution %" PRIu64 ", %.2f s, %u choices; to see it again:\n  %s --replay %s ",
	       executions, seconds() - began, e->choices, program, e->scene->name);
	print_choices(e->chosen, e->choices);
	take_script(e->chosen, e->choices);
	if (replay())
		printf("  but it does not fail when it is repeated\n");
	fflush(stdout);
}

/* ---- searches ---- */

/* The next execution of the search by order; false: there is none. */
static bool advance(void)
{
	struct engine *e = sched_engine;

	while (e->planned) {
		struct node *node = &e->node[e->planned - 1];

		if (++node->now < node->n)
			return true;
		e->planned--;
	}
	return false;
}

enum found { ALL_WELL, CUT_SHORT, FAILURE };

/* All executions within e->bound. */
static enum found search(uint64_t *executions, uint64_t most)
{
	struct engine *e = sched_engine;

	e->mode = SEARCH;
	e->planned = 0;
	e->widened = false;
	for (;;) {
		++*executions;
		if (!execute())
			return FAILURE;
		if (most && *executions >= most)
			return CUT_SHORT;
		if (e->widened) {
			e->planned = 0;
			e->widened = false;
		} else if (!advance()) {
			return ALL_WELL;
		}
	}
}

/* With no switch first, then one, ...: what fails with few is told with few. */
static enum found search_by_order(uint64_t *executions, uint64_t most)
{
	struct engine *e = sched_engine;
	struct sched_bounds bounds = e->scene->bounds;
	enum found found = ALL_WELL;
	int sum = bounds.switches + bounds.looks + bounds.ticks + bounds.wakes + bounds.stops;
	int total = bounds.total ? bounds.total : sum;

	for (int t = total < 2 ? total : 1; t <= total && found == ALL_WELL; t++) {
		e->bound = bounds;
		e->bound.total = t;
		found = search(executions, most);
	}
	return found;
}

static void seed(uint64_t n)
{
	struct engine *e = sched_engine;
	static const int odds[] = {4, 12, 40, 120};

	e->rng = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
	engine_rng();
	e->odds = n % 2 ? odds[engine_below(4)] : 0;
	e->changes = (int)engine_below(6);
	for (int i = 0; i < e->changes; i++)
		e->change_at[i] = engine_below(e->usual_length + 1);
	for (int i = 0; i < FIBRES; i++)
		e->fibre[i].priority = (int)engine_below(1000);
}

static enum found search_by_chance(uint64_t from, uint64_t to, uint64_t *executions)
{
	struct engine *e = sched_engine;

	e->mode = CHANCE;
	for (uint64_t n = from; n < to; n++) {
		seed(n);
		++*executions;
		if (!execute())
			return FAILURE;
		e->usual_length = (e->usual_length * 7 + e->step) / 8;
	}
	return ALL_WELL;
}

static void print_bounds(const struct sched_bounds *b)
{
	printf("switches %d, older looks %d", b->switches, b->looks);
	if (b->ticks)
		printf(", early ticks %d", b->ticks);
	if (b->wakes)
		printf(", idle wakes %d", b->wakes);
	if (b->stops)
		printf(", stops %d", b->stops);
	if (b->total)
		printf(", together %d", b->total);
}

struct wish {
	const char *only, *replay;
	uint64_t seed, random;
	bool first; /* no further than the first failure */
};

static bool has_failed_as_it_must(uint64_t executions, double began, bool failed)
{
	struct engine *e = sched_engine;

	if (failed && strstr(e->failure, e->scene->must_fail)) {
		printf("ok %s: %s, as it must, in execution %" PRIu64 "; %.2f s\n", e->scene->name,
		       e->failure, executions, seconds() - began);
		return true;
	}
	if (failed)
		report(executions, began);
	else
		printf("FAILED %s: no execution of %" PRIu64 " fails with: %s\n", e->scene->name,
		       executions, e->scene->must_fail);
	return false;
}

/* Whether the scenario went well. */
static bool run(const struct sched_scenario *scene, const struct wish *wish)
{
	struct engine *e = sched_engine;
	uint64_t executions = 0, ordered, random = wish->random ? wish->random : scene->random;
	double began = seconds();
	enum found found;

	e->scene = scene;
	e->usual_length = 100;
	memory_forget_classes();
	found = search_by_chance(wish->seed, wish->seed + WARM_UP, &executions);
	if (found != FAILURE && !scene->only_by_chance)
		found = search_by_order(&executions, scene->most);
	ordered = executions;
	if (found == CUT_SHORT)
		random += 1;
	if (found != FAILURE) {
		bool cut = found == CUT_SHORT;

		found = search_by_chance(wish->seed + WARM_UP, wish->seed + WARM_UP + random,
		                         &executions);
		if (found != FAILURE && cut)
			found = CUT_SHORT;
	}
	if (scene->must_fail)
		return has_failed_as_it_must(executions, began, found == FAILURE);
	if (found == FAILURE) {
		report(executions, began);
		return false;
	}
	printf("ok %s: %" PRIu64 " executions", scene->name, ordered);
	if (scene->only_by_chance) {
		printf(" by chance");
	} else {
		printf(found == CUT_SHORT ? ", the first of those with " : ", all with ");
		print_bounds(&scene->bounds);
	}
	printf("; %" PRIu64 " by chance; %.2f s\n", executions - ordered, seconds() - began);
	fflush(stdout);
	return true;
}

static void parse_script(const char *text)
{
	struct engine *e = sched_engine;
	struct choice c;
	char *end;

	e->script_length = 0;
	while (*text && e->script_length < CHOICES_MAX) {
		c.step = (uint32_t)strtoul(text, &end, 10);
		c.kind = *end;
		text = *end ? end + 1 : end;
		c.arg = (uint8_t)strtoul(text, &end, 10);
		text = *end == ',' ? end + 1 : end;
		e->script[e->script_length++] = c;
	}
}

static bool replay_wish(const struct sched_scenario *scene, const char *script)
{
	struct engine *e = sched_engine;
	bool ok;

	e->scene = scene;
	memory_forget_classes();
	parse_script(script);
	ok = replay();
	printf("%s %s\n", ok ? "ok" : "FAILED", scene->name);
	return ok;
}

/* ---- the program ---- */

static void make_engine(void)
{
	struct engine *e =
		mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (e == MAP_FAILED)
		abort();
	sched_engine = e;
	e->node = malloc(NODES_MAX * sizeof(*e->node));
	e->views = mmap(NULL, VIEWS_BYTES, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* At a fixed place, as numbers drawn from addresses have to repeat. */
	e->arena = mmap(ARENA_AT, ARENA_BYTES, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (!e->node || e->views == MAP_FAILED || e->arena == MAP_FAILED)
		abort();
}

static void catch_crashes(void)
{
	const stack_t alternative = {.ss_sp = malloc(65536), .ss_size = 65536};
	struct sigaction act = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};

	sigaltstack(&alternative, NULL);
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
}

static int usage(void)
{
	printf("usage: %s [--only NAME] [--replay NAME CHOICES] [--seed N] [--random N] [--first]\n"
	       "       %s --list\n",
	       program, program);
	return 2;
}

int sched_main(int argc, char **argv, const struct sched_scenario *scenario)
{
	struct wish wish = {.only = NULL};
	bool ok = true;
	int ran = 0;

	program = argv[0];
	make_engine();
	catch_crashes();
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (strcmp(argv[i], "--only") == 0 && more) {
			wish.only = argv[++i];
		} else if (strcmp(argv[i], "--replay") == 0 && i + 2 < argc) {
			wish.only = argv[++i];
			wish.replay = argv[++i];
		} else if (strcmp(argv[i], "--seed") == 0 && more) {
			wish.seed = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--random") == 0 && more) {
			wish.random = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--first") == 0) {
			wish.first = true;
		} else if (strcmp(argv[i], "--list") == 0) {
			for (; scenario->name; scenario++)
				puts(scenario->name);
			return 0;
		} else {
			return usage();
		}
	}
	memory_forget_classes();
	fibres_make();
	image_take();
	for (; scenario->name && (ok || !wish.first); scenario++) {
		if (wish.only && strcmp(wish.only, scenario->name) != 0)
			continue;
		ran++;
		ok = (wish.replay ? replay_wish(scenario, wish.replay) : run(scenario, &wish)) &&
		     ok;
	}
	return !ran ? usage() : !ok;
}
