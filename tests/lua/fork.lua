-- A host that sets up in the parent and works in children. Run by host.c.
local primacy = require "primacy"
primacy.allow_blocking(true)
local E = primacy.E
local folder = arg[1]
local A, B = "10.0.1.11:3306", "10.0.1.12:3306"

local function settings(cache)
    return {
        pools = { "name:orders;primary:" .. A .. ";secondary:" .. B },
        set = { cache_file = cache, ["pool.orders.policy"] = "mpp", ["pool.orders.probe"] = "external" },
    }
end

-- Runs `body` in a child; it fails by an error.
local function child(body)
    local pid = fork()
    if pid == 0 then
        local done, why = pcall(body)
        if not done then print("# in the child: " .. tostring(why)) end
        quit(done and 0 or 1)
    end
    assert(wait(pid) == 0, "the child failed")
end

-- Opened in the parent, started in the worker.
local early = assert(primacy.open(settings(folder .. "/early")))
child(function()
    assert(rawequal(early, primacy.open(settings(folder .. "/early"))))
    assert(early:start())
    assert(early:observe("orders", A, "ok"))
    assert(early:stop())
end)

-- Running in the parent: the child has none of it, and says so.
local running = assert(primacy.open(settings(folder .. "/running")))
local queue = assert(running:events())
assert(running:start())
child(function()
    local function forked(value, why, code) assert(value == nil and code == E.FORKED, tostring(why)) end
    forked(running:snapshot())
    forked(running:observe("orders", A, "ok"))
    forked(queue:next())
    -- What open finds in the parent's state is not taken for open here; the parent holds the cache.
    local again = assert(primacy.open(settings(folder .. "/running")))
    assert(not rawequal(again, running))
    local value, why, code = again:snapshot()
    assert(value == nil and code == E.LOCKED, tostring(why))
    queue:close()
    running:close()
    again:close()
    collectgarbage()
end)
assert(running:observe("orders", A, "ok"), "the parent goes on")
assert(running:cycle "orders")
assert(running:snapshot().pool.orders.node[A].cause == "ok")
queue:close()
running:close()
early:close()
