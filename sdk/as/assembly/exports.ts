// What the gateway calls. The entry file of a plugin re-exports all of it.
export { handle_request, handle_response, headgate_configure, headgate_done } from "./filter";
