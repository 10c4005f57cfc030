/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h over Google Benchmark: the only C++ in weir. Each registered case becomes one benchmark a
 * row of arguments and number of threads, with main at the end.
 */
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "cli/hist.h"
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

double thread_cpu_seconds()
{
	timespec t{};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/* One thread's side of bench.inner. */
struct Inner {
	benchmark::State &state;
	Case &c;
	bool in_body = false;
	bool started = false;
	Clock::time_point begun{};
	double cpu_begun = 0;
	double seconds = 0;
	double cpu_seconds = 0;

	void begin()
	{
		cpu_begun = thread_cpu_seconds();
		begun = Clock::now();
	}

	void end()
	{
		seconds += std::chrono::duration<double>(Clock::now() - begun).count();
		cpu_seconds += thread_cpu_seconds() - cpu_begun;
	}
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
	b.kind = c.spec.kind;
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
	if (!c.skip && inner.seconds > 0 && c.spec.iterations == 0) {
		const double n = static_cast<double>(std::max<int64_t>(1, state.iterations()));

		state.counters["per_thread"] =
			benchmark::Counter(inner.seconds / n, benchmark::Counter::kAvgThreads);
		state.counters["cpu"] =
			benchmark::Counter(inner.cpu_seconds / n, benchmark::Counter::kAvgThreads);
	}
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
	if (spec->iterations != 0)
		made->Iterations(spec->iterations);
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
		inner.begin();
		b->left = static_cast<uint64_t>(state.max_iterations) - 1;
		return true;
	}
	if (inner.started)
		inner.end();
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
	inner.end();
}

extern "C" void bench_resume(bench *b)
{
	Inner &inner = inner_of(b);

	inner.begin();
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

namespace
{

/* One line a histogram: which case, and [the largest value of a bucket, how many] for each. */
void write_distribution(const char *path, const bench &b, const bench_case &spec, const char *name,
                        const cli_hist &hist)
{
	std::ofstream to(path, std::ios::app);
	const char *comma = "";

	to << R"({"case": ")" << spec.name << R"(", "args": {)";
	for (int i = 0; i < BENCH_ARGS && spec.rows > 0 && spec.arg_name[i]; i++)
		to << (i ? ", " : "") << '"' << spec.arg_name[i] << R"(": )" << b.arg[i];
	to << R"(}, "threads": )" << b.threads << R"(, "metric": ")" << name << R"(", "max": )"
	   << hist.max << R"(, "counts": [)";
	for (size_t i = 0; i < CLI_HIST_BUCKETS; i++) {
		if (hist.bucket[i] == 0)
			continue;
		to << comma << '[' << std::min(cli_hist_top(i), hist.max) << ", " << hist.bucket[i]
		   << ']';
		comma = ", ";
	}
	to << "]}\n";
}

} // namespace

extern "C" void bench_durations(bench *b, const char *name, const cli_hist *hist)
{
	static const struct {
		const char *suffix;
		unsigned per_mille;
	} marks[] = {{"_p50", 500}, {"_p99", 990}, {"_p999", 999}, {"_max", 1000}};
	const char *path = std::getenv("TEST_BENCH_DISTRIBUTIONS");

	if (hist->count == 0)
		return;
	for (const auto &mark : marks)
		bench_sum(b, (std::string(name) + mark.suffix).c_str(),
		          static_cast<double>(cli_hist_quantile(hist, mark.per_mille)));
	if (path)
		write_distribution(path, *b, inner_of(b).c.spec, name, *hist);
}

extern "C" int64_t bench_slice_ns()
{
	const char *ms = std::getenv("TEST_BENCH_SLICE_MS");
	const int64_t n = ms ? std::strtoll(ms, nullptr, 10) : 0;

	return (n > 0 ? n : 100) * 1000000;
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
