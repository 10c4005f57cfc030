# SPDX-License-Identifier: BSD-2-Clause
"""psycopg_pool, SQLAlchemy's QueuePool, psycopg2's ThreadedConnectionPool, and both drivers without
a pool. A driver is imported only where it is asked for."""
import time


class PsycopgPool:
    """psycopg_pool, as its manual has it: `with pool.connection()` is getconn and putconn, with a
    commit that autocommit makes empty. It wants connections of psycopg, so every row has real
    ones."""

    def __init__(self, job):
        import psycopg_pool

        self.pool = psycopg_pool.ConnectionPool(
            job.url,
            min_size=job.first_connections,
            max_size=job.connections,
            kwargs={"autocommit": True},
        )
        self.pool.wait(30)
        self.query, self.run = psycopg_query, psycopg_run

    def take(self, _thread):
        return self.pool.getconn()

    def put(self, _thread, connection):
        self.pool.putconn(connection)

    def close(self):
        self.pool.close()


def psycopg_query(connection):
    return connection.execute("SELECT 1", prepare=True).fetchone()[0]


def psycopg_run(connection, sql):
    return connection.execute(sql).fetchone()[0]


def psycopg2_connect(url):
    """psycopg2 prepares nothing by itself: PREPARE here, EXECUTE in each query."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("PREPARE one AS SELECT 1")
    return connection


def psycopg2_query(connection):
    with connection.cursor() as cursor:
        cursor.execute("EXECUTE one")
        return cursor.fetchone()[0]


def psycopg2_run(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


class Psycopg2Pool:
    """ThreadedConnectionPool. It cannot wait: when it is empty it raises, and its callers have to
    come again; here they sleep for the shortest time there is. It connects in its constructor, so
    every row has real connections."""

    def __init__(self, job):
        import psycopg2.pool

        class Prepared(psycopg2.pool.ThreadedConnectionPool):
            def _connect(self, key=None):
                connection = super()._connect(key)
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("PREPARE one AS SELECT 1")
                return connection

        self.empty = psycopg2.pool.PoolError
        self.pool = Prepared(job.first_connections, job.connections, job.url)
        self.query, self.run = psycopg2_query, psycopg2_run

    def take(self, _thread):
        while True:
            try:
                return self.pool.getconn()
            except self.empty:
                time.sleep(0)

    def put(self, _thread, connection):
        self.pool.putconn(connection)

    def close(self):
        self.pool.closeall()


class Stub:
    """What QueuePool calls of a connection, without a server."""

    def rollback(self):
        pass

    def close(self):
        pass


class QueuePool:
    """SQLAlchemy's pool alone: QueuePool of fixed size over psycopg2, or over stubs where no query
    is asked. The ORM and the compiler of statements above it take no part."""

    def __init__(self, job):
        from sqlalchemy.pool import QueuePool as Queue

        self.pool = Queue(
            (lambda: psycopg2_connect(job.url)) if job.asks else Stub,
            pool_size=job.connections,
            max_overflow=0,
        )
        held = [self.pool.connect() for _ in range(job.first_connections)]
        for connection in held:
            connection.close()
        self.query, self.run = psycopg2_query, psycopg2_run

    def take(self, _thread):
        return self.pool.connect()

    def put(self, _thread, connection):
        connection.close()

    def close(self):
        self.pool.dispose()


class Raw:
    """Each thread has a connection of its own."""

    def __init__(self, connections, query):
        self.connections = connections
        self.query = query

    def take(self, thread):
        return self.connections[thread]

    def put(self, _thread, connection):
        pass

    def close(self):
        for connection in self.connections:
            connection.close()


def raw_psycopg(job):
    import psycopg

    return Raw(
        [psycopg.connect(job.url, autocommit=True) for _ in range(job.threads)], psycopg_query
    )


def raw_psycopg2(job):
    return Raw([psycopg2_connect(job.url) for _ in range(job.threads)], psycopg2_query)


OPEN = {
    "psycopg_pool": PsycopgPool,
    "psycopg2_pool": Psycopg2Pool,
    "sqlalchemy": QueuePool,
    "raw_psycopg": raw_psycopg,
    "raw_psycopg2": raw_psycopg2,
}
