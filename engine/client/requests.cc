#include "engine/client/requests.h"

#include <algorithm>
#include <utility>

#include "wire/check.h"

namespace sluice::client {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kPauseNs = 20 * kMillisecond;
constexpr std::uint64_t kSilenceMinNs = 1000 * kMillisecond;

}  // namespace

Requests::Requests(io::Io& io, Router& router, Events& events, std::vector<Connection*>& to_pump)
    : io_(io), router_(router), events_(events), to_pump_(to_pump) {}

// --- beginning -----------------------------------------------------------------------------------

Request& Requests::begin(Request::Kind kind, std::uint64_t tag, std::uint32_t timeout_ms) {
  if (free_.empty()) {
    all_.push_back(std::make_unique<Request>());
    free_.push_back(all_.back().get());
  }
  Request& request = *free_.back();
  free_.pop_back();
  request = Request{};
  request.kind = kind;
  request.tag = tag;
  request.deadline_ns = io_.now_ns() + timeout_ms * kMillisecond;
  waiting_.push_back(request);
  return request;
}

void Requests::read(std::uint64_t tag, const ReadOptions& options) {
  ++calls_open_;
  Request& request = begin(Request::Kind::kRead, tag, options.timeout_ms);
  request.read = options;
  request.group = &router_.group(options.group);
  dispatch(request);
}

void Requests::trim(std::uint64_t tag, GroupId group, Index first, std::uint32_t timeout_ms) {
  ++calls_open_;
  Request& request = begin(Request::Kind::kTrim, tag, timeout_ms);
  request.first = first;
  request.group = &router_.group(group);
  dispatch(request);
}

void Requests::status(std::uint64_t tag, NodeId node, std::size_t address,
                      std::uint32_t timeout_ms) {
  ++calls_open_;
  Request& request = begin(Request::Kind::kStatusPart, tag, timeout_ms);
  jobs_.push_back(std::make_unique<StatusJob>());
  StatusJob& job = *jobs_.back();
  job.tag = tag;
  job.began_ns = io_.now_ns();
  job.node = node;
  job.address = address;
  job.parts_open = 1;
  request.job = &job;
  dispatch(request);
}

// --- finding a way -------------------------------------------------------------------------------

/// Moves a waiting request on if there is a way for it now.
void Requests::dispatch(Request& request) {
  if (closed_) return end(request, Errc::kShuttingDown);
  if (io_.now_ns() < request.retry_at_ns) return;
  const Route way = route(request);
  if (way.kind == Route::Kind::kNever) return end(request, way.code);
  if (way.kind == Route::Kind::kWait) return;
  request.connection = way.connection;
  waiting_.remove(request);
  ready_.push_back(request);
  if (!way.connection->pump_wanted) to_pump_.push_back(way.connection);
  way.connection->pump_wanted = true;
  if (request.kind == Request::Kind::kStatusPart) split_status(request);
}

Route Requests::route(Request& request) {
  switch (request.kind) {
    case Request::Kind::kRead:
      if (request.read.node == kNoNode) return router_.to_any(*request.group, request.attempt);
      return router_.to_node(request.read.node, request.group->group);
    case Request::Kind::kTrim:
      return router_.to_leader(*request.group);
    case Request::Kind::kStatusPart:
      return route_status(request);
  }
  return {};
}

/// Status says at once that a node cannot be reached, rather than wait for it to come back.
Route Requests::route_status(Request& request) {
  StatusJob& job = *request.job;
  if (job.address == kAnyAddress) {
    const Route node = router_.to_node(job.node, GroupId(0));
    if (node.kind == Route::Kind::kNever) return node;
    const std::size_t address = router_.address_of(job.node);
    if (address < router_.address_count()) {
      job.address = address;
    } else {
      bool hope = false;
      for (std::size_t i = 0; i < router_.address_count(); ++i) {
        hope |= router_.node_at(i) == kNoNode && !router_.failed_since(i, job.began_ns);
      }
      if (hope) return {};
      return {Route::Kind::kNever, nullptr, Errc::kUnreachable};
    }
  }
  if (job.address >= router_.address_count()) {
    return {Route::Kind::kNever, nullptr, Errc::kInvalidRequest};
  }
  const Route way = router_.to_shard(job.address, request.shard);
  if (way.kind == Route::Kind::kWait && router_.failed_since(job.address, job.began_ns)) {
    return {Route::Kind::kNever, nullptr, router_.failed_code(job.address)};
  }
  return way;
}

/// Asks the other shards as well, once the first question says how many there are.
void Requests::split_status(const Request& first) {
  StatusJob& job = *first.job;
  if (job.split) return;
  job.split = true;
  const std::uint32_t shards = router_.shards_of(job.address);
  const std::uint64_t deadline_ns = first.deadline_ns;
  const std::size_t ended = ended_.size();
  job.parts_open = shards;
  for (std::uint32_t shard = 1; shard < shards; ++shard) {
    Request& part = begin(Request::Kind::kStatusPart, job.tag, 0);
    part.deadline_ns = deadline_ns;
    part.job = &job;
    part.shard = ShardId(shard);
    dispatch(part);
    if (ended_.size() > ended) return;  // the whole job, and `job` with it
  }
}

void Requests::retry_waiting() {
  due_.clear();
  for (Request* r = waiting_.front(); r; r = List::after(*r)) due_.push_back(r);
  for (Request* request : due_) {
    if (waiting_.contains(*request)) dispatch(*request);  // else it ended with another of its job
  }
}

// --- sending -------------------------------------------------------------------------------------

void Requests::fill(Connection& connection, SendBuffer& out) {
  for (Request* request = ready_.front(); request;) {
    Request* const next = List::after(*request);
    if (request->connection == &connection) {
      request->id = ids_.add(*request, connection.place().number);
      request->sent_ns = io_.now_ns();
      request->waits_ns = 0;
      ready_.remove(*request);
      inflight_.push_back(*request);
      encode(*request, out);
      if (request->waits_ns == 0) connection.expect();
    }
    request = next;
  }
}

void Requests::encode(Request& request, SendBuffer& out) {
  auto& envelope = out.envelope();
  switch (request.kind) {
    case Request::Kind::kRead: {
      const ReadOptions& read = request.read;
      // A node that waits must answer within the time-out.
      const std::uint64_t rest_ms =
          (request.deadline_ns - std::min(request.deadline_ns, io_.now_ns())) / kMillisecond;
      const auto wait_ms =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(read.wait_ms, rest_ms - rest_ms / 4));
      request.waits_ns = wait_ms * kMillisecond;
      envelope.Finish(wire::CreateClientRead(envelope, request.id, read.group.value(),
                                             read.from.value(), read.count_max, read.bytes_max,
                                             wait_ms));
      out.add_frame(FrameKind::kClientRead);
      return;
    }
    case Request::Kind::kTrim:
      envelope.Finish(wire::CreateClientTrim(envelope, request.id, request.group->group.value(),
                                             request.first.value()));
      out.add_frame(FrameKind::kClientTrim);
      return;
    case Request::Kind::kStatusPart:
      envelope.Finish(wire::CreateClientStatus(envelope, request.id));
      out.add_frame(FrameKind::kClientStatus);
      return;
  }
}

// --- ending --------------------------------------------------------------------------------------

/// Takes a request out of whatever list it is in.
void Requests::take_out(Request& request) {
  if (inflight_.contains(request)) {
    ids_.remove(request.id);
    inflight_.remove(request);
    if (request.waits_ns == 0) request.connection->expect_no_more();
  } else if (ready_.contains(request)) {
    ready_.remove(request);
  } else {
    waiting_.remove(request);
  }
  request.connection = nullptr;
}

void Requests::ask_again(Request& request, std::uint64_t pause_ns) {
  take_out(request);
  request.retry_at_ns = io_.now_ns() + pause_ns;
  waiting_.push_back(request);
  dispatch(request);
}

void Requests::end(Request& request, Errc code) {
  if (request.kind == Request::Kind::kStatusPart) return end_job(*request.job, code);
  ended_.push_back({request.kind, request.tag, code, {}, nullptr});
  take_out(request);
  free_.push_back(&request);
}

/// Ends a status call: takes out those of its questions that have no answer.
void Requests::end_job(StatusJob& job, Errc code) {
  for (List* list : {&waiting_, &ready_, &inflight_}) {
    for (Request* request = list->front(); request;) {
      Request* const next = List::after(*request);
      if (request->job == &job) {
        take_out(*request);
        free_.push_back(request);
      }
      request = next;
    }
  }
  const auto at = std::ranges::find(jobs_, &job, &std::unique_ptr<StatusJob>::get);
  SLUICE_CHECK(at != jobs_.end());
  ended_.push_back({Request::Kind::kStatusPart, job.tag, code, {}, std::move(*at)});
  jobs_.erase(at);
}

void Requests::on_lost(Connection& connection) {
  for (List* list : {&ready_, &inflight_}) {
    for (Request* request = list->front(); request;) {
      Request* const next = List::after(*request);
      if (request->connection == &connection) {
        take_out(*request);
        waiting_.push_back(*request);
      }
      request = next;
    }
  }
}

void Requests::expire(std::uint64_t now_ns, std::vector<Connection*>& suspects) {
  due_.clear();
  for (List* list : {&waiting_, &ready_, &inflight_}) {
    for (Request* request = list->front(); request; request = List::after(*request)) {
      if (now_ns >= request->deadline_ns) due_.push_back(request);
    }
  }
  for (Request* request : due_) {
    if (request->link.list == nullptr) continue;  // it ended with another of its job
    Connection* const connection = inflight_.contains(*request) ? request->connection : nullptr;
    const std::uint64_t since_ns =
        connection ? std::max(request->sent_ns, connection->quiet_since_ns()) : now_ns;
    if (now_ns >= since_ns + kSilenceMinNs &&
        std::ranges::find(suspects, connection) == suspects.end()) {
      suspects.push_back(connection);
    }
    end(*request, connection ? Errc::kTimeout : request->code);
  }
  leave_silent(now_ns);
}

/// Asks another node what a node that stands still was asked, unless the caller named it.
void Requests::leave_silent(std::uint64_t now_ns) {
  due_.clear();
  for (List* list : {&ready_, &inflight_}) {
    for (Request* request = list->front(); request; request = List::after(*request)) {
      if (is_in_vain(*request, now_ns)) due_.push_back(request);
    }
  }
  for (Request* request : due_) {
    request->connection->suspect();
    request->code = Errc::kTimeout;
    ++request->attempt;
    ask_again(*request, 0);
  }
}

bool Requests::is_in_vain(const Request& request, std::uint64_t now_ns) const {
  if (request.kind == Request::Kind::kStatusPart) return false;
  if (request.kind == Request::Kind::kRead && request.read.node != kNoNode) return false;
  const Connection& connection = *request.connection;
  if (request.link.list != &inflight_ || request.waits_ns == 0) return connection.silent(now_ns);
  const std::uint64_t since_ns = std::max(request.sent_ns, connection.quiet_since_ns());
  return now_ns >= since_ns + request.waits_ns + kSilenceMinNs;
}

void Requests::close() {
  closed_ = true;
  for (List* list : {&waiting_, &ready_, &inflight_}) {
    while (Request* request = list->front()) end(*request, Errc::kShuttingDown);
  }
}

void Requests::deliver() {
  if (ended_.empty()) return;
  // What the caller's handlers begin may end here as well: not in this round.
  handed_out_.swap(ended_);
  for (const Ended& call : handed_out_) {
    --calls_open_;
    switch (call.kind) {
      case Request::Kind::kRead: {
        ReadOutcome outcome;
        outcome.code = call.code;
        events_.on_read(call.tag, outcome);
        break;
      }
      case Request::Kind::kTrim:
        events_.on_trim(call.tag, {.code = call.code, .first_index = call.first_index});
        break;
      case Request::Kind::kStatusPart:
        deliver_status(*call.job, call.code);
        break;
    }
  }
  handed_out_.clear();
}

void Requests::deliver_status(StatusJob& job, Errc code) {
  NodeStatus& status = job.status;
  if (code != Errc::kOk) status = NodeStatus{};
  status.code = code;
  status.reachable = code == Errc::kOk;
  status.node = job.node;
  if (job.address < router_.address_count()) {
    status.address = router_.text_of(job.address);
    if (status.node == kNoNode) status.node = router_.node_at(job.address);
  }
  std::ranges::sort(status.groups, {}, &GroupState::group);
  events_.on_status(job.tag, status);
}

}  // namespace sluice::client
