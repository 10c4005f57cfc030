// SPDX-License-Identifier: BSD-2-Clause

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.management.ManagementFactory;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * HikariCP, and JDBC without a pool, by VARIANT. Same arguments, loops, histogram and line of JSON as
 * the programs in C (see ../c/peer.h).
 */
public final class Peer {
	private static final int BUCKETS = 1920;
	private static final int BATCH = 32;
	private static final int WARM = 0;
	private static final int MEASURE = 1;
	private static final int STOP = 2;
	private static final int REST = 5; // connections open before a spike

	private static volatile int phase = WARM;
	private static volatile long spikeBegan;
	private static final CountDownLatch gate = new CountDownLatch(1);

	/** A pool as the loops see it. take waits until it has a connection. */
	private interface Pool {
		Connection take(int thread) throws SQLException;

		void put(Connection connection) throws SQLException;

		void close() throws SQLException;
	}

	private record Job(String work, int threads, int connections, long holdNs, long warmMs, long runMs,
			String variant) {
	}

	/** One thread's findings. */
	private static final class Tally implements Runnable {
		private final Job job;
		private final Pool pool;
		private final int thread;
		private final long[] bucket = new long[BUCKETS];
		private long done;
		private long longest;

		Tally(Job job, Pool pool, int thread) {
			this.job = job;
			this.pool = pool;
			this.thread = thread;
		}

		@Override
		public void run() {
			try {
				switch (job.work) {
				case "pair" -> pairs();
				case "spike" -> once();
				default -> timed();
				}
			} catch (SQLException | InterruptedException e) {
				die(e.toString());
			}
		}

		private void pairs() throws SQLException {
			for (int at; (at = phase) != STOP;) {
				for (int i = 0; i < BATCH; i++) {
					pool.put(pool.take(thread));
				}
				if (at == MEASURE) {
					done += BATCH;
				}
			}
		}

		private void timed() throws SQLException {
			final boolean asks = job.work.equals("query");

			for (int at; (at = phase) != STOP;) {
				final long begun = System.nanoTime();
				final Connection connection = pool.take(thread);
				final long ended = System.nanoTime();

				if (asks) {
					select(connection);
				} else {
					hold(job.holdNs);
				}
				pool.put(connection);
				if (at == MEASURE) {
					record(ended - begun);
				}
			}
		}

		private void once() throws SQLException, InterruptedException {
			gate.await();
			final Connection connection = pool.take(thread);
			try (Statement s = connection.createStatement();
					ResultSet rows = s.executeQuery("SELECT 1 FROM pg_sleep(0.002)")) {
				if (!rows.next()) {
					die("SELECT 1 failed");
				}
			}
			pool.put(connection);
			record(System.nanoTime() - spikeBegan);
		}

		private void record(long ns) {
			done++;
			bucket[bucketOf(ns)]++;
			longest = Math.max(longest, ns);
		}
	}

	private Peer() {
	}

	private static void die(String text) {
		System.err.println(text);
		Runtime.getRuntime().halt(1);
	}

	private static int bucketOf(long v) {
		final int shift = Math.max(0, 64 - Long.numberOfLeadingZeros(v) - 6);

		return shift * 32 + (int) (v >> shift);
	}

	private static void hold(long ns) {
		if (ns == 0) {
			return;
		}
		for (final long until = System.nanoTime() + ns; System.nanoTime() < until;) {
		}
	}

	/** The driver prepares on the server what it has seen often enough, and keeps it: its defaults. */
	private static void select(Connection connection) throws SQLException {
		try (PreparedStatement s = connection.prepareStatement("SELECT 1"); ResultSet rows = s.executeQuery()) {
			if (!rows.next() || rows.getInt(1) != 1) {
				die("SELECT 1 failed");
			}
		}
	}

	/** DATABASE_URL as the driver wants it. */
	private static String jdbcUrl() {
		final java.net.URI uri = java.net.URI.create(System.getenv("DATABASE_URL"));
		final String[] who = uri.getUserInfo().split(":", 2);

		return "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath() + "?user=" + who[0]
				+ "&password=" + who[1] + "&sslmode=disable";
	}

	private static Pool openHikari(Job job) throws SQLException {
		final HikariConfig config = new HikariConfig();
		final boolean spike = job.work.equals("spike");
		final int first = spike ? REST : job.connections;

		if (job.work.equals("query") || spike) {
			config.setJdbcUrl(jdbcUrl());
		} else {
			config.setDataSource(new StubDataSource());
		}
		config.setMaximumPoolSize(job.connections); // minimumIdle is the same by default, as advised
		if (spike) {
			config.setMinimumIdle(REST);
		}
		final HikariDataSource source = new HikariDataSource(config);
		final List<Connection> held = new ArrayList<>();
		for (int i = 0; i < first; i++) {
			held.add(source.getConnection());
		}
		for (final Connection connection : held) {
			connection.close();
		}
		return new Pool() {
			@Override
			public Connection take(int thread) throws SQLException {
				return source.getConnection();
			}

			@Override
			public void put(Connection connection) throws SQLException {
				connection.close();
			}

			@Override
			public void close() {
				source.close();
			}
		};
	}

	private static Pool openRaw(Job job) throws SQLException {
		final Connection[] connections = new Connection[job.threads];

		for (int i = 0; i < job.threads; i++) {
			connections[i] = DriverManager.getConnection(jdbcUrl());
		}
		return new Pool() {
			@Override
			public Connection take(int thread) {
				return connections[thread];
			}

			@Override
			public void put(Connection connection) {
			}

			@Override
			public void close() throws SQLException {
				for (final Connection connection : connections) {
					connection.close();
				}
			}
		};
	}

	private static long cpu() {
		return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
				.getProcessCpuTime();
	}

	private static void print(Tally[] all, long ns, long cpuNs) {
		final List<String> done = new ArrayList<>();
		final List<String> counts = new ArrayList<>();
		long longest = 0;

		for (final Tally t : all) {
			done.add(Long.toString(t.done));
			longest = Math.max(longest, t.longest);
		}
		for (int b = 0; b < BUCKETS; b++) {
			long n = 0;

			for (final Tally t : all) {
				n += t.bucket[b];
			}
			if (n > 0) {
				counts.add("[" + b + ", " + n + "]");
			}
		}
		System.out.println("{\"ns\": " + ns + ", \"cpu_ns\": " + cpuNs + ", \"done\": " + done + ", \"max\": " + longest
				+ ", \"buckets\": " + counts + "}");
	}

	private static void measure(Job job) throws Exception {
		final Pool pool = job.variant.equals("raw") ? openRaw(job) : openHikari(job);
		final Tally[] all = new Tally[job.threads];
		final Thread[] threads = new Thread[job.threads];

		for (int i = 0; i < job.threads; i++) {
			all[i] = new Tally(job, pool, i);
			threads[i] = new Thread(all[i]);
			threads[i].start();
		}
		Thread.sleep(job.warmMs);
		final long begun = System.nanoTime();
		final long cpuBegun = cpu();
		phase = MEASURE;
		if (job.work.equals("spike")) {
			spikeBegan = begun;
			gate.countDown();
		} else {
			Thread.sleep(job.runMs);
		}
		phase = STOP;
		final long ns = System.nanoTime() - begun;
		final long cpuNs = cpu() - cpuBegun;
		for (final Thread thread : threads) {
			thread.join();
		}
		print(all, ns, cpuNs);
		pool.close();
	}

	public static void main(String[] a) throws Exception {
		if (a.length > 0 && a[0].equals("buckets")) {
			final List<String> found = new ArrayList<>();

			for (int i = 1; i < a.length; i++) {
				found.add(Integer.toString(bucketOf(Long.parseLong(a[i]))));
			}
			System.out.println(String.join(" ", found));
			return;
		}
		if (a.length != 7) {
			die("usage: Peer WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT");
		}
		measure(new Job(a[0], Integer.parseInt(a[1]), Integer.parseInt(a[2]), Long.parseLong(a[3]) * 1000,
				Long.parseLong(a[4]), Long.parseLong(a[5]), a[6]));
	}
}
