// Filters for the Headgate API gateway. A plugin imports from here, registers its
// filters, and exports what the gateway calls:
//
//   export * from "headgate/assembly/exports";

export { Config } from "./config";
export { equal, hash, Hash, hmac, open, random, seal, sign, verify } from "./crypto";
export { Document, Escape, Kind, Source, template, value, Value, xmlTokens, xmlWrite } from "./document";
export { Exchange, Fields, Level, log, Verdict } from "./exchange";
export { fetch, FetchError, fetchMany, FetchRequest, FetchResponse } from "./fetch";
export { BUFFER_REQUEST, BUFFER_RESPONSE, Filter, register, TRAILERS } from "./filter";
export { Metric } from "./metric";
export { Algorithm, Entry, Limit, State, StateError, Taken } from "./state";
export { bytes, text } from "./raw";
