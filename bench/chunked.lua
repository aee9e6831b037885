-- Four chunks of 1 KiB.
local chunk = "400\r\n" .. string.rep("x", 1024) .. "\r\n"
local message = "POST /chunked HTTP/1.1\r\nHost: " .. "localhost" ..
	"\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n" .. string.rep(chunk, 4) .. "0\r\n\r\n"

function request()
	return message
end
