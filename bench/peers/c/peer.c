/* SPDX-License-Identifier: BSD-2-Clause */
/* What the peers' programs in C share: arguments, the phases of a run, and the line they print. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "peers/c/shared.h"

struct peer_job peer_job;
_Atomic int peer_phase;
_Atomic int64_t peer_gate;

_Noreturn void peer_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

bool peer_needs_server(void)
{
	return peer_job.work >= PEER_QUERY;
}

int peer_first_connections(void)
{
	return peer_job.work == PEER_SPIKE ? PEER_REST : peer_job.connections;
}

const char *peer_sql(void)
{
	return peer_job.work == PEER_SPIKE ? "SELECT 1 FROM pg_sleep(0.002)" : "SELECT 1";
}

PGconn *peer_connect(void)
{
	PGconn *pg = PQconnectdb(peer_job.url);

	if (PQstatus(pg) != CONNECTION_OK)
		peer_die("%s", PQerrorMessage(pg));
	if (peer_job.work == PEER_QUERY)
		PQclear(PQprepare(pg, "one", "SELECT 1", 0, NULL));
	return pg;
}

static enum peer_work work_of(const char *word)
{
	static const char *const words[] = {"pair", "crowd", "query", "request", "spike"};

	for (int i = 0; i < 5; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum peer_work)i;
	peer_die("no such work: %s", word);
}

static void read_job(char **argv)
{
	peer_job = (struct peer_job){.work = work_of(argv[1]),
	                             .threads = atoi(argv[2]),
	                             .connections = atoi(argv[3]),
	                             .hold_ns = atoll(argv[4]) * 1000,
	                             .warm_ns = atoll(argv[5]) * 1000000,
	                             .run_ns = atoll(argv[6]) * 1000000,
	                             .variant = argv[7],
	                             .url = getenv("DATABASE_URL")};
	if (peer_job.threads < 1 || peer_job.connections < 1)
		peer_die("threads and connections are at least 1");
}

static int64_t cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * INT64_C(1000);
}

static void sleep_ns(int64_t ns)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};

	while (nanosleep(&t, &t) != 0)
		;
}

static void print(const struct peer_tally *all, int64_t ns, int64_t cpu_ns)
{
	const char *comma = "";
	int64_t longest = 0;

	printf("{\"ns\": %" PRId64 ", \"cpu_ns\": %" PRId64 ", \"done\": [", ns, cpu_ns);
	for (int i = 0; i < peer_job.threads; i++) {
		printf("%s%" PRIu64, i ? ", " : "", all[i].done);
		longest = all[i].longest > longest ? all[i].longest : longest;
	}
	printf("], \"max\": %" PRId64 ", \"buckets\": [", longest);
	for (int b = 0; b < PEER_BUCKETS; b++) {
		uint64_t n = 0;

		for (int i = 0; i < peer_job.threads; i++)
			n += all[i].bucket[b];
		if (n == 0)
			continue;
		printf("%s[%d, %" PRIu64 "]", comma, b, n);
		comma = ", ";
	}
	printf("]}\n");
}

static int print_buckets(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		printf("%u%c", peer_bucket(strtoull(argv[i], NULL, 10)), i + 1 < argc ? ' ' : '\n');
	return 0;
}

int peer_main(int argc, char **argv, void *(*loop)(void *tally))
{
	struct peer_tally *all;
	int64_t begun, cpu;

	if (argc > 1 && strcmp(argv[1], "buckets") == 0)
		return print_buckets(argc, argv);
	if (argc != 8)
		peer_die("usage: %s WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT",
		         argv[0]);
	read_job(argv);
	all = aligned_alloc(64, (size_t)peer_job.threads * sizeof(*all));
	if (!all)
		peer_die("no memory");
	memset(all, 0, (size_t)peer_job.threads * sizeof(*all));
	peer_open();
	for (int i = 0; i < peer_job.threads; i++) {
		all[i].index = i;
		if (pthread_create(&all[i].thread, NULL, loop, &all[i]) != 0)
			peer_die("no thread");
	}
	sleep_ns(peer_job.warm_ns);
	begun = peer_now();
	cpu = cpu_now();
	atomic_store(&peer_phase, PEER_MEASURE);
	atomic_store(&peer_gate, begun);
	if (peer_job.work != PEER_SPIKE)
		sleep_ns(peer_job.run_ns);
	atomic_store(&peer_phase, PEER_STOP);
	begun = peer_now() - begun;
	cpu = cpu_now() - cpu;
	for (int i = 0; i < peer_job.threads; i++)
		pthread_join(all[i].thread, NULL);
	print(all, begun, cpu);
	peer_close();
	free(all);
	return 0;
}
