-- One of several threads, each with a state: all of them share an engine. Run by host.c.
local primacy = require "primacy"
local cache = arg[1] .. "/threads"
local A, B = "10.0.1.11:3306", "10.0.1.12:3306"

local p = assert(primacy.open {
    pools = { "name:orders;primary:" .. A .. ";secondary:" .. B },
    set = { cache_file = cache, ["pool.orders.policy"] = "mpp", ["pool.orders.probe"] = "external" },
})
local queue = assert(p:events { kinds = { "switch" } })
barrier()
-- All of them start it; one wins, and nobody notices.
assert(p:start())
barrier()

local function cycle(a)
    assert(p:observe("orders", A, a))
    assert(p:observe("orders", B, "ok"))
    assert(p:cycle "orders")
end

if thread == 1 then
    for _ = 1, 3 do cycle "ok" end
    assert(p:active "orders" == A)
end
barrier()
assert(p:active "orders" == A, "what one state was told the other knows")
barrier()
if thread == threads then
    for _ = 1, 4 do cycle "refused" end
end
barrier()
assert(p:active "orders" == B)
local first, second = queue:next(), queue:next()
assert(first.node == A and second.node == B and queue:next() == nil, "every queue has both switches, once")
assert(second.epoch == p:snapshot().pool.orders.epoch)

local rw = assert(p:selector "orders.rw")
barrier()
local held = {}
for round = 1, 50 do
    local backend = assert(rw:select())
    assert(backend.address == B and rw:current(backend) == "stays")
    assert(rw:report(backend, round % 2 == 0 and "connected" or "session_failed"))
    held[#held + 1] = backend
    if #held > 5 then assert(rw:release(table.remove(held, 1))) end
    local orders = assert(p:snapshot()).pool.orders
    assert(orders.active == orders.node[B])
    assert(p:report_node("orders", A, "connect_failed"))
    assert(#p:json() > 0 and #p:explain "orders" > 0)
    assert(primacy.open { set = { cache_file = cache .. ".other" } } == nil)
    if round % 10 == thread % 10 then assert(p:freeze("orders", { reason = "thread " .. thread, nowait = true })) end
    if round % 7 == 0 then collectgarbage() end
end
for _, backend in ipairs(held) do assert(rw:current(backend) == "stays") end
barrier()
-- What one state does drains the others' sessions.
if thread == 1 then assert(p:override("orders", A, { state = "ACTIVE", reason = "the test", nowait = true })) end
barrier()
assert(assert(rw:select()).address == A)
for _, backend in ipairs(held) do
    -- Planned: it may finish what it does.
    assert(rw:current(backend) == "drains")
    assert(rw:release(backend))
end
barrier()
queue:close()
-- The first goes by force, the others leave it to the end of their states.
if thread == 1 then p:close() end
