//! What choices of layout cost Redis: the same tasks, enqueued, taken under a lease and ended in batches, kept in other ways.
//!
//! Each way is three scripts, so that only the layout differs. Processor time is the server's own (`INFO cpu`).

use bench_driver::{Job, Outcome, Report};
use redis::aio::MultiplexedConnection;

use crate::{
    element::{RESULT, element},
    server::connect,
};

/// Tasks in one call.
const BATCH: u64 = 100;

/// One way to keep tasks.
struct Layout {
    name: &'static str,
    /// ARGV: ids and bodies by turns.
    enqueue: &'static str,
    /// ARGV: how many. Answer: ids.
    claim: &'static str,
    /// ARGV: ids and results by turns.
    end: &'static str,
}

const PUSH_BODIES: &str =
    "local b = {} for i = 2, #ARGV, 2 do b[#b+1] = ARGV[i] end redis.call('LPUSH', 'ready', unpack(b))";

const TAKE_BODIES: &str = "local got, held, ids = redis.call('RPOP', 'ready', ARGV[1]), {}, {}
for i, e in ipairs(got) do ids[i] = string.sub(e, 1, 16) held[2*i-1] = ids[i] held[2*i] = e end
redis.call('HSET', 'own', unpack(held)) return ids";

const END: &str =
    "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end redis.call('HDEL', 'own', unpack(ids))";

const LAYOUTS: [Layout; 8] = [
    Layout { name: "inline_bodies", enqueue: PUSH_BODIES, claim: TAKE_BODIES, end: END },
    Layout {
        name: "one_row_a_claim",
        enqueue: PUSH_BODIES,
        claim: "local got, ids = redis.call('RPOP', 'ready', ARGV[1]), {}
for i, e in ipairs(got) do ids[i] = string.sub(e, 1, 16) end
redis.call('HSET', 'own', '1', table.concat(got), 'k1', table.concat(ids)) return ids",
        end: "redis.call('HDEL', 'own', '1', 'k1')",
    },
    Layout {
        name: "ids_and_body_hash",
        enqueue: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end
redis.call('HSET', 'bodies', unpack(ARGV)) redis.call('LPUSH', 'ready', unpack(ids))",
        claim: "local ids, held = redis.call('RPOP', 'ready', ARGV[1]), {}
redis.call('HMGET', 'bodies', unpack(ids))
for i, id in ipairs(ids) do held[2*i-1] = id held[2*i] = '1' end
redis.call('HSET', 'own', unpack(held)) return ids",
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end
redis.call('HDEL', 'own', unpack(ids)) redis.call('HDEL', 'bodies', unpack(ids))",
    },
    Layout {
        name: "stream",
        enqueue: "for i = 2, #ARGV, 2 do redis.call('XADD', 'stream', '*', 'b', ARGV[i]) end
redis.pcall('XGROUP', 'CREATE', 'stream', 'g', '0')",
        claim: "local got = redis.call('XREADGROUP', 'GROUP', 'g', 'me', 'COUNT', ARGV[1], 'STREAMS', 'stream', '>')
local ids = {} for i, e in ipairs(got[1][2]) do ids[i] = e[1] end return ids",
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end
redis.call('XACK', 'stream', 'g', unpack(ids)) redis.call('XDEL', 'stream', unpack(ids))",
    },
    Layout {
        name: "hash_a_task",
        enqueue: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i]
redis.call('HSET', 't:'..ARGV[i], 'b', ARGV[i+1], 'state', 'ready', 'attempts', '0') end
redis.call('LPUSH', 'ready', unpack(ids))",
        claim: "local ids, held = redis.call('RPOP', 'ready', ARGV[1]), {}
for i, id in ipairs(ids) do redis.call('HGETALL', 't:'..id) redis.call('HSET', 't:'..id, 'state', 'running')
held[2*i-1] = id held[2*i] = '1' end
redis.call('HSET', 'own', unpack(held)) return ids",
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] redis.call('DEL', 't:'..ARGV[i]) end
redis.call('HDEL', 'own', unpack(ids))",
    },
    Layout {
        name: "lease_a_task",
        enqueue: PUSH_BODIES,
        claim: "local got, leases, held, ids = redis.call('RPOP', 'ready', ARGV[1]), {}, {}, {}
for i, e in ipairs(got) do ids[i] = string.sub(e, 1, 16) leases[2*i-1] = i leases[2*i] = ids[i]
held[2*i-1] = ids[i] held[2*i] = e end
redis.call('ZADD', 'leases', unpack(leases)) redis.call('HSET', 'own', unpack(held)) return ids",
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end
redis.call('ZREM', 'leases', unpack(ids)) redis.call('HDEL', 'own', unpack(ids))",
    },
    Layout {
        name: "result_as_key",
        enqueue: PUSH_BODIES,
        claim: TAKE_BODIES,
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i]
redis.call('SET', 'res:'..ARGV[i], ARGV[i+1], 'EX', 86400) end redis.call('HDEL', 'own', unpack(ids))",
    },
    Layout {
        name: "result_as_field",
        enqueue: PUSH_BODIES,
        claim: TAKE_BODIES,
        end: "local ids = {} for i = 1, #ARGV, 2 do ids[#ids+1] = ARGV[i] end
redis.call('HDEL', 'own', unpack(ids)) redis.call('HSET', 'res', unpack(ARGV))",
    },
];

/// Microseconds of the server for the whole way of one task, for each layout: `layout_NAME_us`.
pub(crate) async fn measure(job: &Job) -> Outcome<Report> {
    let mut connection = connect(&job.url).await?;
    let mut report = Report::default();
    for layout in LAYOUTS {
        redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
        let before = processor_seconds(&mut connection).await?;
        let mut done = 0;
        while done < job.tasks {
            layout.cycle(&mut connection, done).await?;
            done += BATCH;
        }
        let spent = processor_seconds(&mut connection).await? - before;
        report = report.value(&format!("layout_{}_us", layout.name), "us", spent * 1e6 / done as f64);
    }
    Ok(report)
}

impl Layout {
    async fn cycle(&self, connection: &mut MultiplexedConnection, first: u64) -> Outcome<()> {
        let mut enqueue = redis::cmd("EVAL");
        enqueue.arg(self.enqueue).arg(0);
        for number in first..first + BATCH {
            let element = element(number);
            enqueue.arg(&element[..16]).arg(element);
        }
        enqueue.exec_async(connection).await?;
        let claimed = redis::cmd("EVAL").arg(self.claim).arg(0).arg(BATCH).query_async(connection).await;
        let claimed: Vec<Vec<u8>> = claimed?;
        if claimed.len() as u64 != BATCH {
            return Err(format!("{}: {} of {BATCH} claimed", self.name, claimed.len()).into());
        }
        let mut end = redis::cmd("EVAL");
        end.arg(self.end).arg(0);
        for id in claimed {
            end.arg(id).arg(RESULT);
        }
        Ok(end.exec_async(connection).await?)
    }
}

async fn processor_seconds(connection: &mut MultiplexedConnection) -> Outcome<f64> {
    let told: String = redis::cmd("INFO").arg("cpu").query_async(connection).await?;
    let seconds = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let both = seconds("used_cpu_user:").zip(seconds("used_cpu_sys:"));
    Ok(both.map(|(user, system)| user + system).ok_or("INFO cpu says nothing")?)
}
