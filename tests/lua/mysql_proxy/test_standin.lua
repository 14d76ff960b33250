-- The stand-in itself: what it enforces is what the proxy's sources say.
local harness = require("harness")
local machine = require("machine")
local test, equal, raises = harness.test, harness.equal, harness.raises

local A, B, C = "127.0.0.1:3301", "127.0.0.1:3302", "127.0.0.1:3303"

local files = 0
local function script(text)
    files = files + 1
    local path = FOLDER .. "/script" .. files .. ".lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

local function host(text, backends, now)
    return machine.new({ backends = backends or { { A, "rw" }, { B, "rw" } }, proxy_script = text and script(text), now = now })
end

test("of a backend only state and uuid can be written", function()
    local h = host([[
        function connect_server()
            local b = proxy.global.backends[1]
            b.state = proxy.BACKEND_STATE_DOWN
            b.uuid = "one"
            for _, key in ipairs({ "type", "dst", "connected_clients", "address", "x" }) do
                local good, why = pcall(function() b[key] = 1 end)
                if good or not why:find("proxy.global.backends[...]." .. key .. " is not writable", 1, true) then error("wrote " .. key) end
            end
            if pcall(function() b.uuid = {} end) or pcall(function() proxy.global.backends[1] = {} end) then error("wrote") end
            if pcall(function() b.dst.name = "x" end) then error("wrote") end
            b.uuid = nil
        end]])
    equal(harness.client(h).address, B)
    equal(table.concat(h.lines, "\n"), "")
    equal(h.backends[1].uuid, "")
end)

test("backends are counted from 1; others are nil; no number is an error", function()
    local h = host([[
        function connect_server()
            assert(#proxy.global.backends == 2 and proxy.global.backends[0] == nil and proxy.global.backends[3] == nil)
            assert(type(proxy.global.backends[1]) == "userdata" and proxy.global.backends["2"].dst.name == "127.0.0.1:3302")
            assert(not pcall(function() return proxy.global.backends.x end))
            assert(proxy.global.backends[2].dst.port == 3302 and proxy.global.backends[2].dst.address == "127.0.0.1")
        end]])
    harness.client(h)
    equal(table.concat(h.lines, "\n"), "")
end)

test("of the connection backend_ndx and connection_close can be written; old names are errors", function()
    local h = host([[
        function connect_server()
            assert(proxy.connection.backend_ndx == 0 and proxy.connection.server == nil)
            assert(not pcall(function() proxy.connection.server = 1 end))
            assert(not pcall(function() return proxy.connection.default_db end))
            assert(not pcall(function() proxy.connection.connection_close = 1 end))
            proxy.connection.backend_ndx = 2
            assert(proxy.connection.backend_ndx == 2)
        end
        function read_query(packet)
            assert(proxy.connection.client.username == "app" and proxy.connection.server.dst.name == "127.0.0.1:3302")
        end]])
    local client = harness.client(h)
    equal(client.address, B)
    equal(client:query("SELECT 1"), "forwarded")
    equal(table.concat(h.lines, "\n"), "")
end)

test("the hooks come in their order, and a step out of order is an error", function()
    local h = host([[
        function connect_server() end function read_handshake() end function read_auth() end
        function read_auth_result(auth) assert(auth.packet:byte() == 0) end function read_query(packet) end function disconnect_client() end]])
    local client = harness.client(h)
    client:query("SELECT 1")
    client:quit()
    equal(table.concat(h.trace, " "), "connect_server read_handshake read_auth read_auth_result read_query disconnect_client")
    raises("out of order", client.quit, client)
    raises("out of order", client.query, client, "SELECT 1")
    local con = h:accept()
    raises("out of order", con.read_query, con, "\3SELECT 1")
end)

test("the body runs once for each connection, in an environment of its own; proxy.global is shared", function()
    local h = host([[
        proxy.global.runs = (proxy.global.runs or 0) + 1
        mine = (mine or 0) + 1
        local own = proxy.global.runs
        function read_query(packet)
            proxy.response = { type = proxy.MYSQLD_PACKET_ERR, errmsg = own .. " " .. mine .. " " .. proxy.connection.client.username }
            return proxy.PROXY_SEND_RESULT
        end]])
    local one, two = harness.client(h, { login = "u1" }), harness.client(h, { login = "u2" })
    equal(two:query("x").errmsg, "2 1 u2")
    equal(one:query("x").errmsg, "1 1 u1")
    equal(rawget(_G, "mine"), nil)
    equal(rawget(_G, "read_query"), nil)
end)

test("proxy.response is emptied before read_query, and only there", function()
    local h = host([[
        function connect_server() proxy.response.errmsg = "old" end
        function read_auth() assert(proxy.response.errmsg == "old") end
        function read_query() assert(next(proxy.response) == nil) proxy.response.type = 1 end]])
    local client = harness.client(h)
    client:query("a")
    client:query("b")
    equal(table.concat(h.lines, "\n"), "")
end)

test("a hook that fails lets the proxy go on by itself", function()
    local h = host([[function connect_server() proxy.connection.backend_ndx = 2 error("x") end function read_query() error("y") end]])
    local client = harness.client(h)
    equal(client:query("SELECT 1"), "forwarded")
    harness.says(table.concat(h.lines, "\n"), "(connect_server)", "(read_query)")
end)

test("a script that does not load or run is answered, and nothing is connected", function()
    for text, words in pairs({ ["function ("] = "failed to load", ['error("x")'] = "failed to execute" }) do
        local client = harness.client(host(text))
        harness.says(client.answer.errmsg, words)
        equal(client.address, nil)
    end
end)

test("a chosen backend that is DOWN is not taken: the proxy picks the RW one with the fewest clients", function()
    local h = host([[function connect_server() proxy.connection.backend_ndx = 2 proxy.global.backends[2].state = proxy.BACKEND_STATE_DOWN end]],
        { { A, "ro" }, { B, "rw" }, { C, "rw" } })
    local client = harness.client(h)
    equal(client.address, C)
    equal(client.con.picked_by_proxy, true)
end)

test("DOWN becomes UNKNOWN after four seconds, also where a script has set it", function()
    local now = 1000
    local h = host("function connect_server() seen = 1 end", nil, function() return now end)
    h.backends[1].state = 2
    h.backends[2].state, h.backends[2].state_since = 2, now
    equal(harness.client(h).address, A)
    equal(harness.states(h), "up down")
    now = now + 6
    harness.client(h)
    equal(harness.states(h), "up up")
end)

test("connect_server is called again after a backend that failed, which is DOWN", function()
    local h = host("function connect_server() end")
    local client = harness.client(h, { dead = { [A] = true } })
    equal(client.address, B)
    equal(harness.states(h), "down up")
    equal(table.concat(h.trace, " "), "connect_server connect_server")
    local alone = harness.client(h, { dead = { [A] = true, [B] = true } })
    equal(alone.answer.errmsg, "(proxy) all backends are down")
end)

test("where the proxy would crash, it dies", function()
    local client = harness.client(host([[
        function connect_server() proxy.response = { type = proxy.MYSQLD_PACKET_ERR, errmsg = "no" } return proxy.PROXY_SEND_RESULT end]]))
    equal(client.answer.errmsg, "no")
    raises("null pointer", client.con.read_auth, client.con, { username = "x" })
    local set = harness.client(host([[
        function read_query() proxy.response = { type = proxy.MYSQLD_PACKET_OK, resultset = { fields = {}, rows = {} } } return proxy.PROXY_SEND_RESULT end]]))
    raises("without fields", set.query, set, "x")
end)

test("answers: ok, err with its defaults, result sets with NULL for what is no text, raw packets", function()
    local function answered(text)
        return harness.client(host("function read_query() proxy.response = " .. text .. " return proxy.PROXY_SEND_RESULT end")):query("x")
    end
    equal(answered("{ type = proxy.MYSQLD_PACKET_OK, affected_rows = 3 }").affected_rows, 3)
    local err = answered('{ type = proxy.MYSQLD_PACKET_ERR, errmsg = "e", errcode = 1053, sqlstate = "08S01" }')
    equal(err.errcode .. err.sqlstate, "105308S01")
    equal(answered("{ type = proxy.MYSQLD_PACKET_ERR }").errmsg, "(lua) proxy.response.errmsg is nil")
    harness.says(answered("{ }").errmsg, "handling proxy.response failed")
    harness.says(answered("3").errmsg, "handling proxy.response failed")
    local set = answered('{ type = proxy.MYSQLD_PACKET_OK, resultset = { fields = { { name = "a" }, { name = "b" } }, rows = { { 1, true }, { "x\\0y" } } } }')
    equal(set.rows[1][1], "1")
    equal(set.rows[1][2], nil)
    equal(set.rows[2][1], "x")
    equal(answered('{ type = proxy.MYSQLD_PACKET_RAW, packets = { "abc" } }').packet, "abc")
end)

test("connection_close ends the connection after the answer", function()
    local client = harness.client(host([[
        function read_query() proxy.connection.connection_close = true proxy.response = { type = proxy.MYSQLD_PACKET_OK } return proxy.PROXY_SEND_RESULT end]]))
    client:query("x")
    equal(client.closed, true)
end)

test("backend_ndx = 0 hands the server connection to the pool, and a statement then has nowhere to go", function()
    local h = host("function read_query(p) if p == '\\3release' then proxy.connection.backend_ndx = 0 end end")
    local client = harness.client(h)
    equal(h.backends[1].connected_clients, 1)
    equal(client:query("release"), "close")
    equal(h.backends[1].connected_clients, 0)
    equal(#h.backends[1].idle, 1)
end)

test("the admin plugin wants an answer to everything", function()
    local h = machine.new({ backends = { { A, "rw" } }, admin_script = script([[function read_query(p) if p == "\3x" then error("z") end end]]) })
    for _, text in ipairs({ "y", "x", "", "load data" }) do
        local got, step = harness.admin(h, text)
        harness.says(got.errmsg, "need a resultset")
        equal(step.close, true)
    end
end)
