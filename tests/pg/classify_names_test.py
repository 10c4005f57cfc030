# SPDX-License-Identifier: BSD-2-Clause
"""The built-in functions that weir_classify takes for reads, held against the catalog of a real server.

    classify_names_test.py            the list in src/sql/reads.def is what PostgreSQL 15 says; skipped elsewhere
    classify_names_test.py --write    writes it anew

A name is taken for a read if no function of that name in pg_catalog is volatile; besides, from REVIEWED, a few that
are volatile because their result changes, and change nothing. Never one that EXCLUDED matches: these are not
volatile by the catalog, and yet fail on a standby, run SQL that stands in their arguments, or are nobody's business.
"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", HERE.parents[1]))
LIST = SOURCE / "src/sql/reads.def"
WIDEST = 30  # what a row of the table in src/sql/names.c has room for

# Volatile by the catalog, and nothing comes of them but their result.
REVIEWED = """clock_timestamp current_query gen_random_uuid pg_blocking_pids pg_database_size pg_indexes_size
    pg_is_in_recovery pg_partition_ancestors pg_partition_tree pg_relation_size pg_sleep pg_sleep_for pg_sleep_until
    pg_table_size pg_tablespace_size pg_total_relation_size random timeofday""".split()

# Words of the grammar that stand before a parenthesis, can be no function's name without quotes (col_name_keyword), and
# call nothing that changes anything: types with a size, and expressions. TREAT is not among them: it calls by name.
GRAMMAR = """between bit boolean char character coalesce dec decimal exists extract float greatest grouping int integer
    interval least nchar normalize nullif numeric overlay position precision real row smallint substring time timestamp
    trim values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
    xmlserialize xmltable bigint""".split()

EXCLUDED = re.compile(r"""
    (txid|pg)_current(_xact_id)?$ | pg_walfile_name       # refused by a standby
    | .*_to_xml | .*_validator                            # reads what is named in its argument; is no use
    | pg_event_trigger_ | pg_stat_get_ | pg_get_publication_tables
    | pg_listening_channels | pg_prepared_statement | pg_cursor  # a session's own
    | .*(larger|smaller|_canonical|_subdiff|_transfn|_combine|equalimage)$ | (float8|int8|interval)_(avg|corr|cov|regr|std|var)
    | gin_ | spg_ | hash_ | int[248](inc|dec|int4_sum) | in_range | satisfies_ | acl(insert|remove|contains) | makeaclitem
    """, re.X)

ASK = """SELECT DISTINCT proname FROM pg_proc p LEFT JOIN pg_description d
             ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass AND d.objsubid = 0
         WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile <> 'v' AND prokind <> 'p'
             AND NOT ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes))
             AND prorettype::regtype::text !~ '_handler|trigger|internal|cstring'
             AND coalesce(d.description, '') !~ 'implementation of .* operator|^I/O|^internal|^less-equal|^hash|transition'
             AND proname NOT IN (SELECT proname FROM pg_proc WHERE provolatile = 'v')"""

# What can be called as a name behind a dot: x.nextval, where x is a sequence's name.
DOTTED = """SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v'
                AND prokind = 'f' AND pronargs >= 1 AND pronargs - pronargdefaults <= 1
                AND NOT ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes))
                AND prorettype::regtype::text !~ '_handler|trigger|internal'"""

RESERVED = "SELECT word FROM pg_get_keywords() WHERE catcode = 'R'"

HEAD = """/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may stand before a parenthesis in a statement that only reads: X, a built-in function of
 * PostgreSQL 15; R, a reserved word, which is no function; G, a word of the grammar that stands
 * there like one. Written by tests/pg/classify_names_test.py --write, which says how they are
 * chosen. In the order of strcmp.
 */
"""


def ask(sql):
    url = os.environ["CLUSTER_SUPERUSER_URL"]
    out = subprocess.run([os.environ["CLUSTER_BINDIR"] + "/psql", url, "-XAtqc", sql], check=True, capture_output=True,
                         text=True, timeout=60).stdout
    return out.split()


def chosen():
    """Each name with the letter of its row, in the order of strcmp."""
    functions = {name for name in ask(ASK) if not EXCLUDED.match(name)} | set(REVIEWED)
    rows = {**dict.fromkeys(GRAMMAR, "G"), **dict.fromkeys(ask(RESERVED), "R"), **dict.fromkeys(functions, "X")}
    return [(rows[name], name) for name in sorted(rows) if len(name) <= WIDEST and re.fullmatch("[a-z0-9_]+", name)]


def text(rows):
    lines, line = [], ""
    for letter, name in rows:
        row = f"{letter}({name})"
        if len(line) + len(row) + 1 > 100:
            lines.append(line)
            line = ""
        line += (" " if line else "") + row
    return HEAD + "\n".join(lines + [line]) + "\n"


def in_source(file, letters):
    return re.findall(rf"\b([{letters}])\((\w+)\)", re.sub(r"/\*.*?\*/", "", (SOURCE / file).read_text(), flags=re.S))


class Names(unittest.TestCase):
    def test_the_list_is_what_the_catalog_says(self):
        self.assertEqual(in_source("src/sql/reads.def", "XRG"), chosen())

    def test_what_is_reviewed_is_volatile_or_a_word_of_the_grammar(self):
        volatile = set(ask("SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'"))
        self.assertEqual(set(REVIEWED) - volatile, set())
        words = set(ask("SELECT word FROM pg_get_keywords() WHERE catcode = 'C'"))
        self.assertEqual(set(GRAMMAR) - words, set())

    def test_whatever_a_dot_could_call_is_refused(self):
        named = {name for _, name in in_source("src/sql/names.c", "D")}
        self.assertEqual([name for name in ask(DOTTED)
                          if name not in named | set(REVIEWED) and not re.match("pg_|lo_|binary_upgrade_", name)], [])


def main():
    if "CLUSTER_URL" not in os.environ:
        cluster = str(SOURCE / "tests/support/cluster")
        os.execv(cluster, [cluster, "run", "--standbys", "0", "--", sys.executable, "-B", __file__, *sys.argv[1:]])
    if not ask("SHOW server_version_num")[0].startswith("15"):
        print("skipped: the list is PostgreSQL 15's, and this server is another one")
        sys.exit(77)
    if sys.argv[1:] == ["--write"]:
        LIST.write_text(text(chosen()))
    else:
        unittest.main(argv=sys.argv)


if __name__ == "__main__":
    main()
