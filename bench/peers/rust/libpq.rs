// SPDX-License-Identifier: BSD-2-Clause

//! The few calls of libpq that a connection with one prepared statement needs.
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int};
use std::ptr::{null, NonNull};

#[repr(C)]
struct PGconn {
    _opaque: [u8; 0],
}
#[repr(C)]
struct PGresult {
    _opaque: [u8; 0],
}

const CONNECTION_OK: c_int = 0;
const PGRES_TUPLES_OK: c_int = 2;

#[link(name = "pq")]
extern "C" {
    fn PQconnectdb(conninfo: *const c_char) -> *mut PGconn;
    fn PQstatus(conn: *const PGconn) -> c_int;
    fn PQfinish(conn: *mut PGconn);
    fn PQexec(conn: *mut PGconn, query: *const c_char) -> *mut PGresult;
    fn PQprepare(
        conn: *mut PGconn,
        name: *const c_char,
        query: *const c_char,
        params: c_int,
        types: *const u32,
    ) -> *mut PGresult;
    fn PQexecPrepared(
        conn: *mut PGconn,
        name: *const c_char,
        params: c_int,
        values: *const *const c_char,
        lengths: *const c_int,
        formats: *const c_int,
        result_format: c_int,
    ) -> *mut PGresult;
    fn PQresultStatus(result: *const PGresult) -> c_int;
    fn PQgetvalue(result: *const PGresult, row: c_int, column: c_int) -> *const c_char;
    fn PQclear(result: *mut PGresult);
}

pub struct Connection {
    pg: NonNull<PGconn>,
    name: CString,
}

// A connection of libpq belongs to one thread at a time, and may move.
unsafe impl Send for Connection {}

impl Connection {
    pub fn open(url: &str) -> Option<Connection> {
        let url = CString::new(url).ok()?;
        let name = CString::new("one").ok()?;
        let text = CString::new("SELECT 1").ok()?;
        unsafe {
            let pg = NonNull::new(PQconnectdb(url.as_ptr()))?;
            let connection = Connection { pg, name };
            if PQstatus(pg.as_ptr()) != CONNECTION_OK {
                return None;
            }
            PQclear(PQprepare(
                pg.as_ptr(),
                connection.name.as_ptr(),
                text.as_ptr(),
                0,
                null(),
            ));
            Some(connection)
        }
    }

    pub fn is_open(&self) -> bool {
        unsafe { PQstatus(self.pg.as_ptr()) == CONNECTION_OK }
    }

    pub fn select(&mut self) -> bool {
        unsafe {
            let rows = PQexecPrepared(
                self.pg.as_ptr(),
                self.name.as_ptr(),
                0,
                null(),
                null(),
                null(),
                0,
            );
            let ok = PQresultStatus(rows) == PGRES_TUPLES_OK
                && CStr::from_ptr(PQgetvalue(rows, 0, 0)).to_bytes() == b"1";
            PQclear(rows);
            ok
        }
    }

    /// A statement that is not prepared.
    pub fn run(&mut self, sql: &CStr) -> bool {
        unsafe {
            let rows = PQexec(self.pg.as_ptr(), sql.as_ptr());
            let ok = PQresultStatus(rows) == PGRES_TUPLES_OK;
            PQclear(rows);
            ok
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        unsafe { PQfinish(self.pg.as_ptr()) }
    }
}
