-- source = "push": who gets which clients, who is ended, and what is done with a table that nobody fills.
local harness = require("harness")
local test, equal, says = harness.test, harness.equal, harness.says

local A, B, C = "127.0.0.1:3301", "127.0.0.1:3302", "127.0.0.1:3303"

local function fresh(settings, options)
    options = options or {}
    settings = settings or {}
    settings.source = "push"
    return harness.proxy(options.backends or { { A, "rw" }, { B, "rw" }, { C, "rw" } }, { settings = settings, now = options.now })
end

local function told(host, node, state, status)
    harness.push(host, "MPP INITIALIZE " .. node .. " TYPE " .. (node == A and "PRIMARY" or "SECONDARY"), "MPP SET " .. node .. " STATE " .. state,
        "MPP SET " .. node .. " STATUS " .. (status or "OK"))
end

local function set(host, node, element, value)
    harness.push(host, "MPP SET " .. node .. " " .. element .. " " .. value)
end

local function refused(client, ...)
    equal(client.answer and client.answer.kind, "err")
    equal(client.answer.errcode .. " " .. client.answer.sqlstate, "1040 08004")
    equal(#client.tries == 0 or client.con.picked_by_proxy == nil, true, "picked by the proxy")
    says(client.answer.errmsg, ...)
end

local function ended(client, ...)
    local got = client:query("SELECT 1")
    equal(type(got) == "table" and got.kind, "err")
    equal(got.errcode .. " " .. got.sqlstate, "1053 08S01")
    equal(client.closed, true)
    says(got.errmsg, ...)
end

test("an empty table lets nobody in", function()
    refused(harness.client(fresh()), "no ACTIVE node", "initialized")
end)

test("the ACTIVE node takes every client; the others are DOWN for the proxy", function()
    local host = fresh()
    told(host, A, "STANDBY")
    told(host, B, "ACTIVE")
    told(host, C, "STANDBY")
    for _ = 1, 5 do equal(harness.client(host).address, B) end
    equal(harness.states(host), "down up down")
    equal(host.backends[2].connected_clients, 5)
end)

test("no ACTIVE node: an error that names nodes, states and times, and the proxy does not pick", function()
    local host = fresh()
    told(host, A, "FAILED_OFFLINE", "FAIL")
    told(host, B, "STANDBY")
    local client = harness.client(host)
    refused(client, "no ACTIVE node", A .. " is FAILED_OFFLINE/FAIL since 20", B .. " is STANDBY/OK", "Z")
    equal(#client.tries, 0)
    equal(harness.states(host), "down down down")
end)

test("a demoted node's sessions end with their next statement, which is not forwarded", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    local client, idle = harness.client(host), harness.client(host)
    equal(client:query("INSERT"), "forwarded")
    local forwarded = host.backends[1].forwarded
    set(host, A, "STATE", "FAILED_ONLINE")
    ended(client, A, "FAILED_ONLINE", "connect again")
    set(host, B, "STATE", "ACTIVE")
    ended(idle, "ACTIVE node when this session began")
    equal(host.backends[1].forwarded, forwarded)
    equal(host.backends[1].connected_clients, 0)
    equal(harness.client(host).address, B)
    equal(harness.states(host), "down up down")
end)

test("every command is held back, not only queries", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    local clients = {}
    for _, command in ipairs({ "\2db", "\14", "\22SELECT 1", "\23\1\0\0\0", "\24\1\0\0\0", "\25\1\0\0\0", "\17user", "\1" }) do
        clients[command] = harness.client(host)
    end
    set(host, A, "STATE", "STANDBY")
    for command, client in pairs(clients) do
        equal(client:command(command).errcode, 1053)
        equal(client.closed, true)
    end
    equal(host.backends[1].forwarded, nil)
end)

test("a session that slept over a demotion and a return ends", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    local one, two = harness.client(host), harness.client(host)
    set(host, A, "STATE", "STANDBY")
    set(host, B, "STATE", "ACTIVE")
    set(host, B, "STATE", "STANDBY")
    set(host, A, "STATE", "ACTIVE")
    ended(one, A)
    local again = harness.client(host)
    -- The other order of the two commands: two ACTIVE nodes for a moment, of which the newer one has the role.
    set(host, B, "STATE", "ACTIVE")
    equal(harness.client(host).address, B)
    set(host, A, "STATE", "STANDBY")
    set(host, A, "STATE", "ACTIVE")
    set(host, B, "STATE", "STANDBY")
    ended(again, A)
    ended(two, A)
    equal(harness.client(host):query("x"), "forwarded")
end)

test("to be initialized anew is not to be demoted", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    local client, other = harness.client(host), harness.client(host)
    harness.push(host, "MPP INITIALIZE " .. A .. " TYPE PRIMARY", "MPP INITIALIZE " .. B .. " TYPE SECONDARY")
    equal(client:query("x"), "forwarded")
    refused(harness.client(host), "no ACTIVE node", "UNKNOWN")
    set(host, B, "STATE", "STANDBY")
    set(host, B, "STATUS", "OK")
    set(host, A, "STATE", "ACTIVE")
    equal(client:query("x"), "forwarded")
    set(host, A, "STATUS", "OK")
    equal(client:query("x"), "forwarded")
    equal(harness.client(host).address, A)
    harness.push(host, "MPP INITIALIZE " .. A .. " TYPE PRIMARY")
    set(host, B, "STATE", "ACTIVE")
    ended(client, A)
    set(host, A, "STATE", "ACTIVE")
    set(host, A, "STATUS", "OK")
    ended(other, A)
end)

test("the status that still serves is a setting", function()
    local host = fresh({ worst_status = "OK_INFO" })
    told(host, A, "ACTIVE", "OK_INFO")
    local client = harness.client(host)
    equal(client.address, A)
    set(host, A, "STATUS", "OK_WARN")
    refused(harness.client(host), "ACTIVE/OK_WARN")
    ended(client, "ACTIVE/OK_WARN")
    local wide = fresh()
    told(wide, A, "ACTIVE", "OK_CRITICAL")
    equal(harness.client(wide).address, A)
    set(wide, A, "STATUS", "FAIL")
    refused(harness.client(wide), "ACTIVE/FAIL")
end)

test("readers: standbys by weight in turn, weight 0 drains", function()
    local host = fresh({ role = "standby" })
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    told(host, C, "STANDBY")
    set(host, C, "WEIGHT", "3")
    local count = {}
    for _ = 1, 400 do
        local client = harness.client(host)
        count[client.address] = (count[client.address] or 0) + 1
    end
    equal(count[A], nil)
    equal(count[B], 100)
    equal(count[C], 300)
    equal(harness.states(host), "down up up")
    local on_b = harness.client(host)
    while on_b.address ~= B do on_b = harness.client(host) end
    set(host, B, "WEIGHT", "0")
    for _ = 1, 10 do equal(harness.client(host).address, C) end
    equal(on_b:query("x"), "forwarded")
    set(host, C, "WEIGHT", "0")
    refused(harness.client(host), "no STANDBY node", B .. " is STANDBY/OK", "with weight 0")
end)

test("a writer's node takes clients whatever its weight", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    set(host, A, "WEIGHT", "0")
    equal(harness.client(host).address, A)
end)

test("a backend that serves again is not DOWN any more, before it is chosen", function()
    local host = fresh({ role = "standby" })
    told(host, B, "STANDBY", "FAIL")
    told(host, C, "STANDBY")
    harness.client(host)
    equal(harness.states(host), "down down up")
    set(host, B, "STATUS", "OK")
    set(host, B, "WEIGHT", "0")
    equal(harness.client(host).address, C)
    equal(harness.states(host), "down unknown up")
end)

test("readers: the fewest clients per weight", function()
    local host = fresh({ role = "standby", strategy = "least-connections" })
    told(host, B, "STANDBY")
    told(host, C, "STANDBY")
    set(host, C, "WEIGHT", "2")
    local open = {}
    for i = 1, 30 do open[i] = harness.client(host) end
    equal(host.backends[2].connected_clients, 10)
    equal(host.backends[3].connected_clients, 20)
    for _, client in ipairs(open) do
        if client.address == C then client:quit() end
    end
    for _ = 1, 5 do equal(harness.client(host).address, C) end
end)

test("readers: a standby that fails or is promoted ends its own, and leaves the others alone", function()
    local host = fresh({ role = "standby" })
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    told(host, C, "STANDBY")
    local clients = {}
    for _ = 1, 4 do
        local client = harness.client(host)
        clients[client.address] = clients[client.address] or client
    end
    set(host, A, "STATE", "FAILED_OFFLINE")
    set(host, B, "STATE", "ACTIVE")
    equal(clients[C]:query("x"), "forwarded")
    ended(clients[B], "a STANDBY node when this session began", "ACTIVE/OK")
    for _ = 1, 3 do equal(harness.client(host).address, C) end
    set(host, C, "STATUS", "FAIL")
    set(host, C, "STATUS", "OK")
    ended(clients[C], C)
    set(host, C, "STATE", "FAILED_ONLINE")
    refused(harness.client(host), "no STANDBY node", B .. " is ACTIVE/OK")
end)

test("readers fall back to the ACTIVE node where that is set, and stay there", function()
    local host = fresh({ role = "standby", fallback = "active" })
    told(host, A, "ACTIVE")
    local client = harness.client(host)
    equal(client.address, A)
    told(host, B, "STANDBY")
    equal(harness.client(host).address, B)
    equal(client:query("x"), "forwarded")
    set(host, A, "STATE", "STANDBY")
    equal(client:query("x"), "forwarded")
end)

test("role any: every node that serves", function()
    local host = fresh({ role = "any" })
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    told(host, C, "FAILED_ONLINE", "FAIL")
    local seen = {}
    for _ = 1, 10 do seen[harness.client(host).address] = true end
    equal(seen[A] and seen[B] and not seen[C], true)
end)

test("a backend that cannot be connected to: readers go on to the next, writers get an error", function()
    local host = fresh({ role = "standby" })
    told(host, B, "STANDBY")
    told(host, C, "STANDBY")
    for _ = 1, 4 do
        local client = harness.client(host, { dead = { [B] = true } })
        equal(client.address, C)
        if #client.tries > 2 then error("tried " .. #client.tries) end
    end
    local nobody = harness.client(host, { dead = { [B] = true, [C] = true } })
    equal(#nobody.tries, 2)
    refused(nobody, "cannot be connected to")

    local writers = fresh()
    told(writers, A, "ACTIVE")
    told(writers, B, "STANDBY")
    local client = harness.client(writers, { dead = { [A] = true } })
    equal(#client.tries, 1)
    refused(client, A, "cannot be connected to")
    -- DOWN for the proxy itself now; the next client tries it all the same.
    equal(harness.client(writers).address, A)
end)

test("DOWN is asserted anew at each connect, whatever the proxy or a script made of it", function()
    local now = 5000
    local host = fresh(nil, { now = function() return now end })
    told(host, A, "ACTIVE")
    told(host, B, "STANDBY")
    harness.client(host)
    equal(harness.states(host), "up down down")
    now = now + 10
    host.backends[2].state, host.backends[3].state = 1, 0
    harness.client(host)
    equal(harness.states(host), "up down down")
    set(host, A, "STATE", "STANDBY")
    set(host, B, "STATE", "ACTIVE")
    harness.client(host)
    equal(harness.states(host), "down up down")
end)

test("a table that nobody fills any more: served or refused, as set; sessions stay", function()
    local now = 5000
    for _, stale in ipairs({ "serve", "refuse" }) do
        local host = fresh({ stale = stale, max_age = 10 }, { now = function() return now end })
        told(host, A, "ACTIVE")
        local client = harness.client(host)
        now = now + 10
        equal(harness.client(host).address, A)
        equal(harness.shown(host)[A]["mpp.stale"], "no")
        now = now + 1
        local shown = harness.shown(host)[A]
        equal(shown["mpp.stale"] .. shown["mpp.age"], "yes11")
        if stale == "serve" then
            equal(harness.client(host).address, A)
        else
            refused(harness.client(host), "11 s ago")
        end
        equal(client:query("x"), "forwarded")
        -- A push that changes nothing is a sign of life.
        set(host, A, "STATE", "ACTIVE")
        equal(harness.client(host).address, A)
        now = now - 500
        equal(harness.client(host).address, A)
        equal(harness.shown(host)[A]["mpp.age"], "0")
    end
end)

test("a node by another name than its backend", function()
    local host = fresh({ names = { ["db1.example"] = A } })
    harness.push(host, "MPP INITIALIZE DB1.example:3306 TYPE PRIMARY", "MPP SET db1.example STATE ACTIVE", "MPP SET db1.example STATUS OK")
    equal(harness.client(host).address, A)
    equal(harness.shown(host)["db1.example:3306"]["proxy.address"], A)
end)

test("backends of every kind: IPv6 and sockets", function()
    local host = fresh(nil, { backends = { { "[2001:db8::1]:3306", "rw" }, { "/run/a.sock", "rw" } } })
    harness.push(host, "MPP INITIALIZE [2001:DB8:0:0::1] TYPE PRIMARY", "MPP INITIALIZE unix:/run//a.sock TYPE SECONDARY")
    harness.push(host, "MPP SET unix:/run/a.sock STATE ACTIVE", "MPP SET unix:/run/a.sock STATUS OK")
    equal(harness.client(host).address, "/run/a.sock")
end)

test("a proxy that was started anew knows nothing", function()
    local host = fresh()
    told(host, A, "ACTIVE")
    host = fresh()
    local got = harness.admin(host, "MPP SET " .. A .. " STATE ACTIVE")
    says(got.errmsg, "uninitialized")
    refused(harness.client(host), "initialized")
end)
