-- The MPP commands, spoken as queries:
--
--     MPP SHOW ALL
--     MPP INITIALIZE node TYPE type
--     MPP SET node TYPE|STATE|STATUS|WEIGHT value
--
-- in any case, with any white space, with or without a final semicolon.
local address = require("primacy_proxy.address")
local answer = require("primacy_proxy.answer")
local backends = require("primacy_proxy.backends")

local mpp = {}

local TYPES = { PRIMARY = "PRIMARY", SECONDARY = "SECONDARY" }
-- The library's words, and those of MPP's own Lua script.
local STATES = {
    UNKNOWN = "UNKNOWN", ACTIVE = "ACTIVE", STANDBY = "STANDBY", FAILED_ONLINE = "FAILED_ONLINE", FAILED_OFFLINE = "FAILED_OFFLINE",
    FAIL_ONLINE = "FAILED_ONLINE", FAIL_OFFLINE = "FAILED_OFFLINE",
}
-- The last three as MPP's command line abbreviates them.
local STATUSES = {
    UNKNOWN = "UNKNOWN", OK = "OK", OK_INFO = "OK_INFO", OK_WARN = "OK_WARN", OK_CRITICAL = "OK_CRITICAL", FAIL = "FAIL",
    INFO = "OK_INFO", WARN = "OK_WARN", CRITICAL = "OK_CRITICAL",
}
local MOST_WEIGHT = 1000

local function word_of(set, listed)
    return function(given)
        local word = set[given:upper()]
        if word then return word end
        return nil, "write one of " .. listed
    end
end

local ELEMENTS = {
    TYPE = word_of(TYPES, "PRIMARY, SECONDARY"),
    STATE = word_of(STATES, "UNKNOWN, ACTIVE, STANDBY, FAILED_ONLINE, FAILED_OFFLINE"),
    STATUS = word_of(STATUSES, "UNKNOWN, OK, OK_INFO, OK_WARN, OK_CRITICAL, FAIL"),
    WEIGHT = function(given)
        local number = given:match("^%d%d?%d?%d?$") and tonumber(given)
        if number and number <= MOST_WEIGHT then return number end
        return nil, "write a whole number from 0 to " .. MOST_WEIGHT
    end,
}

local USAGE = {
    SHOW = "write MPP SHOW ALL",
    INITIALIZE = "write MPP INITIALIZE node TYPE PRIMARY|SECONDARY",
    SET = "write MPP SET node TYPE|STATE|STATUS|WEIGHT value",
}

-- Whether a query is meant for us: its first word is MPP.
function mpp.is_command(query)
    return (query .. " "):match("^%s*[Mm][Pp][Pp][%s;]") ~= nil
end

local function wrong(pair, text)
    return nil, { pair = pair, text = "MPP: " .. text }
end

-- The words of a query that is_command, as { action, node, element, value }; or nil and { pair, text }.
function mpp.parse(query)
    local words = {}
    for word in query:gsub("%z", "?"):gsub("[%s;]+$", ""):gmatch("%S+") do words[#words + 1] = word end
    local action = words[2] and words[2]:upper()
    local usage = action and USAGE[action]
    if not action then return wrong(answer.SYNTAX, "a command is missing: SHOW, INITIALIZE or SET") end
    if not usage then return wrong(answer.SYNTAX, "unknown command " .. answer.cut(words[2], 40) .. ": there are SHOW, INITIALIZE and SET") end

    if action == "SHOW" then
        if #words < 3 then return wrong(answer.SYNTAX, "SHOW: something is missing: " .. usage) end
        if #words > 3 or words[3]:upper() ~= "ALL" then
            return wrong(answer.SYNTAX, "SHOW: unrecognized " .. answer.cut(words[#words > 3 and 4 or 3], 40) .. ": " .. usage)
        end
        return { action = action }
    end

    if #words < 5 then return wrong(answer.SYNTAX, action .. ": something is missing: " .. usage) end
    if #words > 5 then return wrong(answer.SYNTAX, action .. ": too much, from " .. answer.cut(words[6], 40) .. " on: " .. usage) end
    local node, problem = address.canonical(words[3])
    if not node then return wrong(answer.WRONG_VALUE, "node " .. answer.cut(words[3], 80) .. ": " .. problem) end
    local element = words[4]:upper()
    if not ELEMENTS[element] or (action == "INITIALIZE" and element ~= "TYPE") then
        return wrong(answer.SYNTAX, action .. ": unrecognized element " .. answer.cut(words[4], 40) .. ": " .. usage)
    end
    local value
    value, problem = ELEMENTS[element](words[5])
    if problem then return wrong(answer.WRONG_VALUE, element .. " of " .. answer.cut(words[5], 40) .. " is not valid: " .. problem) end
    return { action = action, node = node, element = element, value = value }
end

local function show(source)
    local rows = {}
    local shown = {}
    for i = 1, backends.count() do
        local name = source:name_of(backends.address(i))
        shown[name] = true
        backends.show(i, name, rows)
        source:show(name, rows)
    end
    -- Nodes that the proxy has no backend for: their group `proxy` is empty.
    for _, name in ipairs(source:nodes()) do
        if not shown[name] then source:show(name, rows) end
    end
    return answer.rows({ "nodename", "group", "element", "value" }, rows)
end

-- Answers a query that is_command.
function mpp.answer(source, query)
    local command, failure = mpp.parse(query)
    if command then source:refresh() end
    if command and command.action == "SHOW" then return show(source) end
    local done
    if command and command.action == "INITIALIZE" then
        done, failure = source:initialize(command.node, command.value)
    elseif command then
        done, failure = source:set(command.node, command.element, command.value)
    end
    if failure then return answer.fail(failure.pair, failure.text) end
    return answer.rows({ (query:gsub("^%s+", ""):gsub("[%s;]+$", "")) }, { { done and "SUCCESS" or "FAILURE" } })
end

return mpp
