/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h over Google Benchmark: the only C++ in weir. Each registered case becomes one benchmark a
 * row of arguments and number of threads, with main at the end.
 */
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "harness/bench.h"

namespace
{

/* Where all threads of a run meet, as often as they like. */
class Gate
{
      public:
	void meet(int threads)
	{
		std::unique_lock<std::mutex> lock(mutex_);
		const unsigned round = round_;

		if (++here_ == threads) {
			here_ = 0;
			round_++;
			all_.notify_all();
			return;
		}
		all_.wait(lock, [&] { return round_ != round; });
	}

      private:
	std::mutex mutex_;
	std::condition_variable all_;
	int here_ = 0;
	unsigned round_ = 0;
};

/* A registered case with what its threads share in a run; runs of one case follow each other. */
struct Case {
	explicit Case(const bench_case &c) : spec(c)
	{
	}

	bench_case spec;
	Gate gate;
	void *shared = nullptr;
	const char *skip = nullptr; /* said by `before` */
};

using Clock = std::chrono::steady_clock;

/* One thread's side of bench.inner. */
struct Inner {
	benchmark::State &state;
	Case &c;
	bool in_body = false;
	bool started = false;
	Clock::time_point begun{};
	double seconds = 0;
};

Inner &inner_of(bench *b)
{
	return *static_cast<Inner *>(b->inner);
}

void run(benchmark::State &state, Case &c)
{
	Inner inner{state, c};
	bench b{};

	b.thread = state.thread_index();
	b.threads = state.threads();
	b.inner = &inner;
	for (size_t i = 0; i < BENCH_ARGS && c.spec.rows > 0 && c.spec.arg_name[i]; i++)
		b.arg[i] = state.range(i);
	if (b.thread == 0) {
		c.shared = nullptr;
		c.skip = nullptr;
		if (c.spec.before)
			c.spec.before(&b);
	}
	c.gate.meet(b.threads);
	inner.in_body = true;
	if (c.skip)
		state.SkipWithError(c.skip);
	else
		c.spec.body(&b);
	inner.in_body = false;
	c.gate.meet(b.threads);
	if (b.thread == 0 && c.spec.after)
		c.spec.after(&b);
	if (!c.skip && inner.seconds > 0)
		state.counters["per_thread"] = benchmark::Counter(
			inner.seconds /
				static_cast<double>(std::max<int64_t>(1, state.iterations())),
			benchmark::Counter::kAvgThreads);
}

void add_threads(benchmark::internal::Benchmark *made, const bench_case &spec)
{
	const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));

	for (int i = 0; i < BENCH_THREADS && spec.threads[i] != 0; i++) {
		const int n = spec.threads[i] == BENCH_CORES ? cores : spec.threads[i];
		bool twice = false;

		for (int j = 0; j < i; j++)
			twice = twice || spec.threads[j] == n ||
			        (spec.threads[j] == BENCH_CORES && n == cores);
		if (!twice)
			made->Threads(n);
	}
}

void add_rows(benchmark::internal::Benchmark *made, const bench_case &spec)
{
	std::vector<std::string> names;

	if (spec.rows == 0)
		return;
	while (names.size() < BENCH_ARGS && spec.arg_name[names.size()])
		names.emplace_back(spec.arg_name[names.size()]);
	for (int i = 0; i < spec.rows; i++)
		made->Args({spec.row[i], spec.row[i] + names.size()});
	made->ArgNames(names);
}

} // namespace

extern "C" void bench_register(const bench_case *spec)
{
	auto c = std::make_shared<Case>(*spec);
	auto *made = benchmark::RegisterBenchmark(spec->name,
	                                          [c](benchmark::State &state) { run(state, *c); });

	made->UseRealTime();
	add_rows(made, *spec);
	add_threads(made, *spec);
}

/*
 * The library's whole batch is taken at once, so that the loop itself only counts down a local
 * number.
 */
extern "C" bool bench_turn(bench *b)
{
	Inner &inner = inner_of(b);
	benchmark::State &state = inner.state;

	if (state.KeepRunningBatch(state.max_iterations)) {
		inner.started = true;
		inner.begun = Clock::now();
		b->left = static_cast<uint64_t>(state.max_iterations) - 1;
		return true;
	}
	if (inner.started)
		inner.seconds += std::chrono::duration<double>(Clock::now() - inner.begun).count();
	return false;
}

extern "C" void bench_share(bench *b, void *shared)
{
	inner_of(b).c.shared = shared;
}

extern "C" void *bench_shared(bench *b)
{
	return inner_of(b).c.shared;
}

extern "C" void bench_skip(bench *b, const char *why)
{
	Inner &inner = inner_of(b);

	if (inner.in_body)
		inner.state.SkipWithError(why);
	else
		inner.c.skip = why;
}

extern "C" void bench_pause(bench *b)
{
	Inner &inner = inner_of(b);

	inner.state.PauseTiming();
	inner.seconds += std::chrono::duration<double>(Clock::now() - inner.begun).count();
}

extern "C" void bench_resume(bench *b)
{
	Inner &inner = inner_of(b);

	inner.begun = Clock::now();
	inner.state.ResumeTiming();
}

extern "C" void bench_sum(bench *b, const char *name, double value)
{
	inner_of(b).state.counters[name] = benchmark::Counter(value);
}

extern "C" void bench_average(bench *b, const char *name, double value)
{
	inner_of(b).state.counters[name] =
		benchmark::Counter(value, benchmark::Counter::kAvgThreads);
}

extern "C" void bench_rate(bench *b, const char *name, double value)
{
	inner_of(b).state.counters[name] = benchmark::Counter(value, benchmark::Counter::kIsRate);
}

int main(int argc, char **argv)
{
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	bench_cases();
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}
