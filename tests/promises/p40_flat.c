/* SPDX-License-Identifier: BSD-2-Clause */
#include "p40_flat.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "support/process.h"
#include "support/threads.h"

#define PATIENCE_NS (60 * WI_SEC)
/*
 * What allocators keep for later comes and goes by so much; a leak of 16 bytes a session is more.
 */
#define GROWTH_KIB 1024

static bool amiss(struct flat *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool amiss(struct flat *f, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(f->wrong, sizeof(f->wrong), format, list);
	va_end(list);
	return false;
}

static uint64_t closed_in_all(const weir_pool_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		n += s->closed[i];
	return n;
}

/* What lies in the keeper's inbox counts as idle until it is taken in: opened and closed tell. */
static bool rests(const weir_pool_stats *s, uint32_t open)
{
	return s->idle == open && s->total == open && !s->busy && !s->waiting &&
	       s->checkouts == s->checkins && s->opened == closed_in_all(s) + open;
}

static bool await_rest(struct flat *f, weir_pool *pool, uint32_t open)
{
	weir_pool_stats *s = &f->stats[f->n];
	int64_t end_ns = wi_now_ns() + PATIENCE_NS;

	for (weir_pool_stats_get(pool, s); !rests(s, open); weir_pool_stats_get(pool, s)) {
		if (wi_now_ns() > end_ns)
			return amiss(
				f,
				"it does not come to rest: %u in all, %u idle, %u busy, "
				"%u waiting, %llu checkouts, %llu checkins, %llu opened, %llu closed",
				s->total, s->idle, s->busy, s->waiting,
				(unsigned long long)s->checkouts, (unsigned long long)s->checkins,
				(unsigned long long)s->opened,
				(unsigned long long)closed_in_all(s));
		nanosleep(&(struct timespec){.tv_nsec = WI_MS}, NULL);
	}
	return true;
}

/* A count that has gone below zero is a very large one, and one that was lost goes backwards. */
static bool counts_forward(struct flat *f, const weir_pool_stats *a, const weir_pool_stats *b)
{
	const struct {
		const char *name;
		uint64_t before, now;
	} counts[] = {
		{"checkouts", a->checkouts, b->checkouts},
		{"checkins", a->checkins, b->checkins},
		{"waits", a->waits, b->waits},
		{"timeouts", a->timeouts, b->timeouts},
		{"refused", a->refused, b->refused},
		{"opened", a->opened, b->opened},
		{"closed", closed_in_all(a), closed_in_all(b)},
		{"misuse", a->misuse, b->misuse},
		{"leaks", a->leaks, b->leaks},
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (counts[i].now < counts[i].before || counts[i].now > UINT64_C(1) << 48)
			return amiss(f, "%s: %llu after %llu", counts[i].name,
			             (unsigned long long)counts[i].now,
			             (unsigned long long)counts[i].before);
	return true;
}

static bool sums_are_exact(struct flat *f, const weir_pool_stats *s, uint64_t checkouts)
{
	if (s->checkouts != checkouts)
		return amiss(f, "%llu checkouts counted, and there were %llu",
		             (unsigned long long)s->checkouts, (unsigned long long)checkouts);
	return s->misuse == 0 || amiss(f, "%llu misuses", (unsigned long long)s->misuse);
}

/* A thread that was joined may still be listed for a moment. */
static bool as_before(struct flat *f)
{
	for (int i = 0;; i++) {
		size_t bytes = wi_alloc_bytes();
		int descriptors = test_descriptors(), threads = test_thread_count();

		if (f->n < 2) {
			f->bytes = bytes;
			f->descriptors = descriptors;
			f->threads = threads;
		}
		if (bytes == f->bytes && descriptors == f->descriptors && threads == f->threads)
			return true;
		if (i == 5000)
			return amiss(
				f, "%zu bytes, %d descriptors, %d threads; there were %zu, %d, %d",
				bytes, descriptors, threads, f->bytes, f->descriptors, f->threads);
		nanosleep(&(struct timespec){.tv_nsec = WI_MS}, NULL);
	}
}

bool flat_note(struct flat *f, weir_pool *pool, uint32_t open, uint64_t checkouts)
{
	if (f->n == FLAT_NOTES || !await_rest(f, pool, open) ||
	    !sums_are_exact(f, &f->stats[f->n], checkouts) || !as_before(f) ||
	    (f->n > 0 && !counts_forward(f, &f->stats[f->n - 1], &f->stats[f->n])))
		return f->wrong[0] ? false : amiss(f, "too many notes");
	f->resident_kib[f->n++] = (double)test_resident_bytes() / 1024;
	return true;
}

/* The line through the notes that has the least squares: by how much it rises in all. */
static double rise_of(const double *y, int n)
{
	double mean = 0, sum = 0, squares = 0;

	for (int i = 0; i < n; i++)
		mean += y[i] / n;
	for (int i = 0; i < n; i++) {
		double x = i - (n - 1) / 2.0;

		sum += x * (y[i] - mean);
		squares += x * x;
	}
	return sum / squares * (n - 1);
}

bool flat_judge(struct flat *f)
{
	double rise;

	if (f->n < 6)
		return amiss(f, "only %d notes", f->n);
	rise = rise_of(f->resident_kib + 2, f->n - 2);
	printf("%d notes: resident %.0f KiB at the second, %.0f at the last, %+.0f by the slope; "
	       "%zu bytes of weir's, %d descriptors, %d threads\n",
	       f->n, f->resident_kib[1], f->resident_kib[f->n - 1], rise, f->bytes, f->descriptors,
	       f->threads);
	/* A sanitizer's memory is mostly its own. */
	return rise < GROWTH_KIB || test_slowness() > 1 || amiss(f, "grows by %.0f KiB", rise);
}
