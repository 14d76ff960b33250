-- A stand-in for MySQL Proxy 0.8.5: what its scripts see, in the order in which they see it, under a real Lua 5.1.
--
-- Modelled on the proxy's own behaviour (network-mysqld-lua.c, network-backend-lua.c, lua-scope.c, proxy-plugin.c,
-- admin-plugin.c, network-mysqld.c of 0.8.5, whose names are used here):
--   * one Lua state; for each connection the script's body runs anew, in a thread and a global environment of its own,
--     when its first hook is due; _G.proxy points to that connection's tables while one of its hooks runs;
--   * proxy.global is shared by all connections and by the admin plugin; of a backend only `state` and `uuid` can be
--     written; of proxy.connection only `backend_ndx` and `connection_close`;
--   * a hook that fails, or that is not there, lets the proxy do what it does without a script;
--   * connect_server runs again after each backend that could not be connected to;
--   * where the proxy would abort or crash, an error is raised that says so (`died`).
--
-- This file holds what the scripts see; machine.lua the order of things. Not modelled: injected queries.
local standin = {}

local constants = {
    PROXY_SEND_QUERY = 1, PROXY_SEND_RESULT = 2, PROXY_IGNORE_RESULT = 4,
    MYSQLD_PACKET_OK = 0, MYSQLD_PACKET_RAW = 250, MYSQLD_PACKET_ERR = 255,
    BACKEND_STATE_UNKNOWN = 0, BACKEND_STATE_UP = 1, BACKEND_STATE_DOWN = 2,
    BACKEND_TYPE_UNKNOWN = 0, BACKEND_TYPE_RW = 1, BACKEND_TYPE_RO = 2,
    COM_SLEEP = 0, COM_QUIT = 1, COM_INIT_DB = 2, COM_QUERY = 3, COM_FIELD_LIST = 4, COM_CREATE_DB = 5, COM_DROP_DB = 6,
    COM_REFRESH = 7, COM_SHUTDOWN = 8, COM_STATISTICS = 9, COM_PROCESS_INFO = 10, COM_CONNECT = 11, COM_PROCESS_KILL = 12,
    COM_DEBUG = 13, COM_PING = 14, COM_TIME = 15, COM_DELAYED_INSERT = 16, COM_CHANGE_USER = 17, COM_BINLOG_DUMP = 18,
    COM_TABLE_DUMP = 19, COM_CONNECT_OUT = 20, COM_REGISTER_SLAVE = 21, COM_STMT_PREPARE = 22, COM_STMT_EXECUTE = 23,
    COM_STMT_SEND_LONG_DATA = 24, COM_STMT_CLOSE = 25, COM_STMT_RESET = 26, COM_SET_OPTION = 27, COM_STMT_FETCH = 28,
    COM_DAEMON = 29,
    MYSQL_TYPE_DECIMAL = 0, MYSQL_TYPE_TINY = 1, MYSQL_TYPE_SHORT = 2, MYSQL_TYPE_LONG = 3, MYSQL_TYPE_FLOAT = 4,
    MYSQL_TYPE_DOUBLE = 5, MYSQL_TYPE_NULL = 6, MYSQL_TYPE_TIMESTAMP = 7, MYSQL_TYPE_LONGLONG = 8, MYSQL_TYPE_INT24 = 9,
    MYSQL_TYPE_DATE = 10, MYSQL_TYPE_TIME = 11, MYSQL_TYPE_DATETIME = 12, MYSQL_TYPE_YEAR = 13, MYSQL_TYPE_NEWDATE = 14,
    MYSQL_TYPE_BIT = 16, MYSQL_TYPE_NEWDECIMAL = 246, MYSQL_TYPE_ENUM = 247, MYSQL_TYPE_SET = 248,
    MYSQL_TYPE_TINY_BLOB = 249, MYSQL_TYPE_MEDIUM_BLOB = 250, MYSQL_TYPE_LONG_BLOB = 251, MYSQL_TYPE_BLOB = 252,
    MYSQL_TYPE_VAR_STRING = 253, MYSQL_TYPE_STRING = 254, MYSQL_TYPE_GEOMETRY = 255,
    PROXY_VERSION = 805,
}

-- Where the real program would end by itself.
local function died(how)
    error({ died = how }, 0)
end

-- A userdata with these methods, as the proxy makes them: a table could be written to, and has no __len in Lua 5.1.
local function userdata(get, set, len)
    local made = newproxy(true)
    local meta = getmetatable(made)
    meta.__index, meta.__newindex, meta.__len = get, set, len
    return made
end

-- luaL_checklstring: a number is a string too.
local function name_of(key)
    if type(key) ~= "string" and type(key) ~= "number" then
        error("bad argument #2 (string expected, got " .. type(key) .. ")", 3)
    end
    return tostring(key)
end

-- luaL_checkinteger: what lua_tonumber takes, cut to an integer.
local function integer(value, argument)
    local number = tonumber(value)
    if not number or (type(value) ~= "number" and type(value) ~= "string") then
        error("bad argument #" .. argument .. " (number expected, got " .. type(value) .. ")", 3)
    end
    return number < 0 and math.ceil(number) or math.floor(number)
end

local function address_userdata(name)
    local host, port = name:match("^%[(.+)%]:(%d+)$")
    local family = host and 10
    if not host then
        host, port = name:match("^([%d%.]+):(%d+)$")
        family = host and 2 or 1
    end
    local fields = { type = family, name = name, address = host or name, port = tonumber(port) }
    return userdata(function(_, key) return fields[name_of(key)] end)
end

-- A backend of proxy.global.backends; `backend` is the proxy's own record.
local function backend_userdata(backend)
    return userdata(function(_, key)
        key = name_of(key)
        if key == "dst" then return address_userdata(backend.name) end
        if key == "uuid" then return backend.uuid ~= "" and backend.uuid or nil end
        if key == "connected_clients" or key == "state" or key == "type" then return backend[key] end
        if key == "pool" then
            return userdata(function(_, field)
                if field == "users" then
                    return userdata(function()
                        return userdata(function(_, last) return last == "cur_idle_connections" and #backend.idle or nil end)
                    end)
                end
                return backend.pool[field]
            end, function(_, field, value)
                if backend.pool[field] == nil then error("proxy.backend[...]." .. field .. " is not writable", 2) end
                backend.pool[field] = tonumber(value) or 0
            end)
        end
        return nil
    end, function(_, key, value)
        key = name_of(key)
        if key == "state" then
            -- lua_tointeger: what is no number is 0. state_since stays as it was.
            backend.state = math.floor(tonumber(value) or 0)
        elseif key == "uuid" then
            if value ~= nil and type(value) ~= "string" and type(value) ~= "number" then
                error("proxy.global.backends[...].uuid has to be a string", 2)
            end
            backend.uuid = value == nil and "" or tostring(value)
        else
            error("proxy.global.backends[...]." .. key .. " is not writable", 2)
        end
    end)
end

function standin.backends_userdata(host)
    return userdata(function(_, key)
        local backend = host.backends[integer(key, 2)]
        return backend and backend_userdata(backend) or nil
    end, nil, function() return #host.backends end)
end

-- One side of a connection: proxy.connection.client, .server.
local function socket_userdata(host, socket)
    return userdata(function(_, key)
        key = name_of(key)
        if key == "default_db" then return socket.default_db or "" end
        if key == "address" then error(".address is deprecated. Use .src.name or .dst.name instead", 2) end
        if key == "src" or key == "dst" then return socket[key] and address_userdata(socket[key]) end
        if socket.response and socket.response[key] ~= nil then return socket.response[key] end
        if socket.challenge and socket.challenge[key] ~= nil then return socket.challenge[key] end
        host:log("critical", "sock->challenge, sock->response: looking for " .. key)
        return nil
    end)
end

local function connection_userdata(host, con)
    return userdata(function(_, key)
        key = name_of(key)
        if key == "default_db" or key == "thread_id" or key == "mysqld_version" then
            error("proxy.connection." .. key .. " is deprecated, use proxy.connection.server." .. key .. " instead", 2)
        end
        if key == "backend_ndx" then return con.backend_ndx + 1 end
        if key == "server" or key == "client" then return con[key] and socket_userdata(host, con[key]) or nil end
        return nil
    end, function(_, key, value)
        key = name_of(key)
        if key == "backend_ndx" then
            local index = integer(value, 3) - 1
            if index == -1 then
                -- network_connection_pool_lua_add_connection: nothing without a server, else the connection is pooled.
                if con.server then
                    local backend = con.backend
                    if not backend then died("backend_ndx = 0 on a connection without a backend") end
                    backend.idle[#backend.idle + 1] = con.server
                    backend.connected_clients = backend.connected_clients - 1
                    con.backend, con.backend_ndx, con.server = nil, -1, nil
                end
            else
                if index < -1 or index >= #host.backends then host:log("violation", "backend_ndx = " .. (index + 1) .. " is out of range") end
                con.backend_ndx = index
            end
        elseif key == "connection_close" then
            if type(value) ~= "boolean" then error("bad argument #3 (boolean expected, got " .. type(value) .. ")", 2) end
            con.connection_close = value
        else
            error("proxy.connection." .. key .. " is not writable", 2)
        end
    end)
end

local function queries_userdata(con)
    local methods = {}
    local function entry(id, query, options)
        if type(query) ~= "string" then error("bad argument #3 (string expected, got " .. type(query) .. ")", 3) end
        return { id = integer(id, 2), query = query, resultset_is_needed = type(options) == "table" and options.resultset_is_needed or false }
    end
    function methods.append(_, id, query, options) table.insert(con.queries, entry(id, query, options)) end
    function methods.prepend(_, id, query, options) table.insert(con.queries, 1, entry(id, query, options)) end
    function methods.reset() con.queries = {} end
    function methods.len() return #con.queries end
    return userdata(function(_, key) return methods[key] end, nil, function() return #con.queries end)
end

-- network_mysqld_lua_setup_global: `proxy`, its constants, proxy.global and the backends.
function standin.setup_global(host)
    if rawget(_G, "proxy") == nil then
        local made = { global = { config = {} } }
        for name, value in pairs(constants) do made[name] = value end
        _G.proxy = made
    end
    _G.proxy.global.backends = standin.backends_userdata(host)
end

-- lua_scope_load_script: the file is read once and wrapped; every connection gets a function of its own.
local function load_script(host, path)
    local factory = host.scripts[path]
    if not factory then
        local file, problem = io.open(path, "rb")
        if not file then return nil, problem end
        local text = file:read("*a")
        file:close()
        factory, problem = loadstring("return function() " .. text .. "\nend\n", "@" .. path)
        if not factory then return nil, problem end
        host.scripts[path] = factory
    end
    return factory()
end

-- network_mysqld_con_lua_register_callback: "success", "load failed" or "execute failed"; _G.proxy then points to this
-- connection.
function standin.register(host, con, path)
    if con.environment then
        local meta = getmetatable(_G.proxy)
        meta.__index, meta.__newindex = con.environment.__proxy, con.environment.__proxy
        return "success"
    end
    local script, problem = load_script(host, path)
    if not script then
        host:log("critical", "lua_load_file(" .. path .. ") failed: " .. tostring(problem))
        return "load failed"
    end
    standin.setup_global(host)

    local environment = setmetatable({}, { __index = _G })
    local own = { queries = queries_userdata(con), connection = connection_userdata(host, con), response = {} }
    rawset(environment, "__proxy", own)
    local meta = getmetatable(_G.proxy) or {}
    meta.__index, meta.__newindex = own, own
    setmetatable(_G.proxy, meta)
    setfenv(script, environment)

    -- The thread of this connection: it takes functions to call, under pcall as the proxy does.
    con.thread = coroutine.create(function(...)
        local results = { n = 0 }
        local request = { ... }
        while true do
            results = { pcall(unpack(request, 1, table.maxn(request))) }
            request = { coroutine.yield(unpack(results, 1, table.maxn(results))) }
        end
    end)
    local _, good, failure = coroutine.resume(con.thread, script)
    if not good then
        if type(failure) == "table" and failure.died then error(failure, 0) end
        host:log("critical", "(lua-error) [" .. path .. "] " .. tostring(failure))
        con.thread = nil
        return "execute failed"
    end
    con.environment = environment
    return "success"
end

-- Calls a hook if there is one. Returns whether it ran, and the number it returned; nil where it failed or gave none.
function standin.hook(host, con, name, ...)
    local hook = con.environment[name]
    if type(hook) ~= "function" then return false, nil end
    host.trace[#host.trace + 1] = name
    local resumed, good, result = coroutine.resume(con.thread, hook, ...)
    if not resumed then died("the thread of a connection ended in " .. name .. ": " .. tostring(good)) end
    if not good then
        if type(result) == "table" and result.died then error(result, 0) end
        host:log("critical", "(" .. name .. ") " .. tostring(result))
        return true, nil, true
    end
    return true, tonumber(result)
end

-- What lua_tostring makes of a cell: a string or number, else NULL; C strings end at a NUL.
local function cell(value)
    if type(value) ~= "string" and type(value) ~= "number" then return nil end
    return (tostring(value):match("^[^%z]*"))
end

-- network_mysqld_con_lua_handle_proxy_response: the answers that go into the client's queue, or nil where the proxy
-- answers "handling proxy.response failed".
function standin.response(host, con)
    local response = con.environment.__proxy.response
    if type(response) ~= "table" then
        host:log("message", "proxy.response has to be a table, is " .. type(response))
        return nil
    end
    local kind = tonumber(response.type)
    if not kind then
        host:log("message", "proxy.response.type is " .. tostring(response.type))
        return nil
    end
    if kind == constants.MYSQLD_PACKET_OK then
        local set = response.resultset
        if type(set) ~= "table" then
            return { { kind = "ok", affected_rows = tonumber(response.affected_rows) or 0, insert_id = tonumber(response.insert_id) or 0 } }
        end
        if type(set.fields) ~= "table" then died("proxy.response.resultset.fields is no table (g_assert)") end
        if type(set.rows) ~= "table" then died("proxy.response.resultset.rows is no table (g_assert)") end
        local fields, rows = {}, {}
        for i = 1, math.huge do
            local field = rawget(set.fields, i)
            if field == nil then break end
            if type(field) ~= "table" then died("proxy.response.resultset.fields[" .. i .. "] is no table (g_error)") end
            fields[i] = {
                name = type(field.name) == "string" and field.name or "no-field-name",
                type = tonumber(field.type) or constants.MYSQL_TYPE_STRING,
            }
        end
        if #fields == 0 then died("a result set without fields (g_assert)") end
        for i = 1, math.huge do
            local row = rawget(set.rows, i)
            if row == nil then break end
            if type(row) ~= "table" then died("proxy.response.resultset.rows[" .. i .. "] is no table (g_error)") end
            local cells = { n = #fields }
            for j = 1, #fields do cells[j] = cell(rawget(row, j)) end
            rows[i] = cells
        end
        return { { kind = "resultset", fields = fields, rows = rows } }
    elseif kind == constants.MYSQLD_PACKET_ERR then
        if type(response.errmsg) ~= "string" and type(response.errmsg) ~= "number" then
            return { { kind = "err", errcode = 1105, sqlstate = "07000", errmsg = "(lua) proxy.response.errmsg is nil" } }
        end
        local state = response.sqlstate and tostring(response.sqlstate) or "07000"
        if #state ~= 5 then host:log("violation", "SQLSTATE " .. state .. " has not 5 characters") end
        return { { kind = "err", errcode = tonumber(response.errcode) or 1105, sqlstate = state, errmsg = tostring(response.errmsg) } }
    elseif kind == constants.MYSQLD_PACKET_RAW then
        if type(response.packets) ~= "table" then
            host:log("message", "proxy.response.packets is " .. type(response.packets))
            return nil
        end
        local answers = {}
        for i = 1, math.huge do
            local packet = rawget(response.packets, i)
            if packet == nil then break end
            if type(packet) ~= "string" and type(packet) ~= "number" then died("proxy.response.packets[" .. i .. "] is no string (g_error)") end
            answers[i] = { kind = "raw", packet = tostring(packet) }
        end
        return answers
    end
    host:log("message", "proxy.response.type is unknown: " .. kind)
    return nil
end

standin.constants = constants
standin.died = died
return standin
