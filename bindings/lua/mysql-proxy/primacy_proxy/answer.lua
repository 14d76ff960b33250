-- What the client gets in place of a server's answer: proxy.response, filled. Each returns what the hook has to return.
local answer = {}

-- MySQL cuts messages at 512 bytes (MYSQL_ERRMSG_SIZE).
local LONGEST = 500

local function cut(text, length)
    text = text:gsub("%c", " ")
    if #text <= length then return text end
    return text:sub(1, length - 3) .. "..."
end

answer.cut = cut

-- An error: number, SQLSTATE, words.
function answer.error(number, sqlstate, text)
    proxy.response = {
        type = proxy.MYSQLD_PACKET_ERR,
        errcode = number,
        sqlstate = sqlstate,
        errmsg = cut(text, LONGEST),
    }
    return proxy.PROXY_SEND_RESULT
end

function answer.ok()
    proxy.response = { type = proxy.MYSQLD_PACKET_OK }
    return proxy.PROXY_SEND_RESULT
end

-- A table: names of the columns, and rows of texts and numbers. All columns are strings.
function answer.rows(columns, rows)
    local fields = {}
    for i, name in ipairs(columns) do
        fields[i] = { name = cut(name, 64), type = proxy.MYSQL_TYPE_STRING }
    end
    proxy.response = {
        type = proxy.MYSQLD_PACKET_OK,
        resultset = { fields = fields, rows = rows },
    }
    return proxy.PROXY_SEND_RESULT
end

-- Numbers and SQLSTATEs, as MySQL's list of server errors pairs them. Not 2003: clients refuse client error numbers from a server.
answer.NO_BACKEND = { 1040, "08004" }
answer.EJECTED = { 1053, "08S01" }
answer.SYNTAX = { 1064, "42000" }
answer.WRONG_VALUE = { 1231, "42000" }
answer.NOT_POSSIBLE = { 1105, "HY000" }
answer.INTERNAL = { 1105, "HY000" }

-- As answer.error, by one of the pairs above.
function answer.fail(pair, text)
    return answer.error(pair[1], pair[2], text)
end

-- A greeting of our own, for a refusal that shall come as the answer to the login. Nothing is ever checked against its
-- challenge: the login is refused whatever the client sends.
function answer.greeting()
    local challenge = {}
    for i = 1, 20 do challenge[i] = string.char(math.random(33, 126)) end
    local text = table.concat(challenge)
    -- LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
    local packet = "\10" .. "5.5.5-primacy\0" .. "\1\0\0\0" .. text:sub(1, 8) .. "\0" .. "\9\130" .. "\8" .. "\2\0" .. "\8\0"
        .. string.char(21) .. ("\0"):rep(10) .. text:sub(9) .. "\0" .. "mysql_native_password\0"
    proxy.response = { type = proxy.MYSQLD_PACKET_RAW, packets = { packet } }
    return proxy.PROXY_SEND_RESULT
end

return answer
