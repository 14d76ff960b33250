-- The settings: a Lua file that returns a table, named by PRIMACY_PROXY_SETTINGS or /etc/mysql-proxy/primacy.lua. It is
-- data: nothing of Lua's library is within its reach. It is read once per life of the proxy.
local address = require("primacy_proxy.address")

local settings = {}

local DEFAULT_FILE = "/etc/mysql-proxy/primacy.lua"

local function one_of(...)
    local words = { ... }
    return function(value)
        for _, word in ipairs(words) do
            if value == word then return value end
        end
        return nil, 'must be one of "' .. table.concat(words, '", "') .. '"'
    end
end

local function text(value)
    if type(value) == "string" and value ~= "" then return value end
    return nil, "must be a text"
end

local function whole_number(least, most)
    return function(value)
        if type(value) == "number" and value >= least and value <= most and value % 1 == 0 then return value end
        return nil, "must be a whole number from " .. least .. " to " .. most
    end
end

-- { "a", "b" } as a set.
local function words(value)
    if type(value) ~= "table" then return nil, "must be a list of texts" end
    local set = {}
    for _, word in ipairs(value) do
        if type(word) ~= "string" or word == "" then return nil, "must be a list of texts" end
        set[word] = true
    end
    return set
end

-- { ["db1.example:3306"] = "10.0.1.11:3306" }, both sides canonical.
local function names(value)
    if type(value) ~= "table" then return nil, 'must be a table: { ["db1.example:3306"] = "10.0.1.11:3306" }' end
    local made = {}
    for name, backend in pairs(value) do
        local from, to = address.canonical(name), address.canonical(backend)
        if not from or not to then return nil, "has an entry that is no pair of addresses: " .. tostring(name) end
        made[from] = to
    end
    return made
end

-- key = { check, default, the source it belongs to (nil: both) }
local KEYS = {
    source = { one_of("library", "push") },
    refuse_at = { one_of("connect", "login"), "connect" },
    data_port_users = { words, nil },

    config = { text, nil, "library" },
    service = { text, nil, "library" },
    site = { text, nil, "library" },
    override_for = { whole_number(1, 86400 * 30), 600, "library" },

    role = { one_of("active", "standby", "any"), "active", "push" },
    fallback = { one_of("active", "none"), "none", "push" },
    strategy = { one_of("round-robin", "least-connections"), "round-robin", "push" },
    worst_status = { one_of("OK", "OK_INFO", "OK_WARN", "OK_CRITICAL"), "OK_CRITICAL", "push" },
    max_age = { whole_number(1, 86400), 30, "push" },
    stale = { one_of("serve", "refuse"), "serve", "push" },
    names = { names, {}, "push" },
}

function settings.keys()
    local all = {}
    for key in pairs(KEYS) do all[#all + 1] = key end
    return all
end

-- A checked copy with the defaults filled in; an error names the key.
function settings.check(given)
    if type(given) ~= "table" then error("the settings must be a table, are a " .. type(given), 0) end
    for key in pairs(given) do
        if not KEYS[key] then error("the settings have no key " .. tostring(key), 0) end
    end
    local made = {}
    for key, rule in pairs(KEYS) do
        local check, default, source = rule[1], rule[2], rule[3]
        if given[key] == nil then
            made[key] = default
        elseif source and source ~= given.source then
            error(key .. ' belongs to source = "' .. source .. '"', 0)
        else
            local value, problem = check(given[key])
            if problem then error(key .. " " .. problem, 0) end
            made[key] = value
        end
    end
    if not made.source then error('source is missing: "library" or "push"', 0) end
    if made.source == "library" and not (made.config and made.service) then
        error('source = "library" needs config and service', 0)
    end
    if made.fallback ~= "none" and made.role ~= "standby" then error('fallback belongs to role = "standby"', 0) end
    return made
end

-- Reads the file.
function settings.load(path)
    path = path or os.getenv("PRIMACY_PROXY_SETTINGS") or DEFAULT_FILE
    local chunk, problem = loadfile(path)
    if not chunk then error("cannot read the settings: " .. tostring(problem), 0) end
    setfenv(chunk, {})
    local good, given = pcall(chunk)
    if not good then error("the settings in " .. path .. ": " .. tostring(given), 0) end
    local checked
    good, checked = pcall(settings.check, given)
    if not good then error("the settings in " .. path .. ": " .. tostring(checked), 0) end
    return checked
end

return settings
