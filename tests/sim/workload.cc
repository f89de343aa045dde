#include "tests/sim/workload.h"

#include <algorithm>
#include <utility>

#include "tests/sim/sim_io.h"

namespace sluice::sim {
namespace {
constexpr std::uint32_t kAuditTimeoutMs = 5000;
/// A leader outside of the healthy quorum may go on to serve, over links that are seconds late.
constexpr std::uint32_t kProbeTimeoutMs = 6000;
constexpr std::uint32_t kPayloadBytesMin = 8;
}  // namespace

using client::Status;

WorkloadClient::WorkloadClient(World& world, Network& network, Machine& machine, ShadowLog& shadow,
                               WorkloadOptions options, std::vector<std::string> addresses)
    : world_(world),
      network_(network),
      machine_(machine),
      shadow_(shadow),
      options_(options),
      addresses_(std::move(addresses)),
      random_(world.random_for("workload", machine.number)),
      sessions_(options.groups) {
  for (std::uint32_t i = 0; i < options_.producers; ++i) {
    Producer producer;
    producer.id = ProducerId(machine.number * 100 + i + 1);
    producer.group = any_group();
    producers_.push_back(std::move(producer));
  }
}

WorkloadClient::~WorkloadClient() {
  if (process_) process_->kill();
}

void WorkloadClient::start() {
  process_ = std::make_unique<Process>(world_, network_, machine_,
                                       world_.random_for("client", machine_.number).next());
  process_->spawn([this](SimIo& io) { main(io); });
}

void WorkloadClient::main(SimIo& io) {
  std::string what;
  auto made = client::Client::make({.nodes = addresses_, .cluster_name = "sim"}, io, *this, what);
  if (!made) {
    world_.report(machine_.name + ": " + what);
    return;
  }
  const auto client = std::move(*made);
  client_ = client.get();
  io_ = &io;
  io.timer(tick_, io.now_ns());
  bool told = false;
  while (!told || !client->closed() || tick_.pending()) {
    io.run_once();
    if (closing_ && !std::exchange(told, true)) {
      io.cancel(tick_);
      client->close();
    }
    client->flush();
  }
  if (process_->handles_open() != 0) {
    world_.report(machine_.name + ": descriptors are open at the end of the client");
  }
  client_ = nullptr;
}

bool WorkloadClient::drained() const {
  return draining_ && pending_.empty() &&
         std::ranges::all_of(producers_, [](const auto& p) { return p.window.empty(); });
}

std::string WorkloadClient::pending_text() const {
  std::string text = machine_.name + ": " + std::to_string(pending_.size()) + " requests pending";
  for (const auto& producer : producers_) {
    if (producer.window.empty()) continue;
    text += "; producer " + std::to_string(producer.id.value()) + " has " +
            std::to_string(producer.window.size()) + " entries without an acknowledgement, from sequence " +
            std::to_string(producer.window.front().sequence);
  }
  return text;
}

// --- what it does ----------------------------------------------------------------------------

void WorkloadClient::on_tick(std::int32_t result) {
  if (result < 0 || closing_) return;
  const std::uint64_t interval = std::uint64_t{options_.interval_us} * kUs;
  io_->timer(tick_, io_->now_ns() + interval / 2 + random_.below(interval));
  if (std::exchange(audit_wanted_, false)) {
    for (std::uint32_t g = 0; g < options_.groups; ++g) audit_read(GroupId(g), Index(1));
  }
  for (auto& [group, busy] : probes_) {
    if (std::exchange(busy, true)) continue;
    const Uid uid = next_uid();
    const auto tag = remember({.kind = Pending::Kind::kProbe, .group = group, .uid = uid, .from = {}});
    client_->append(tag, {.group = group, .timeout_ms = kProbeTimeoutMs},
                    payload(uid, kPayloadBytesMin));
  }
  for (std::size_t i = 0; i < producers_.size(); ++i) {
    Producer& producer = producers_[i];
    if (producer.again && producer.in_flight == 0) {
      producer.again = false;
      send_waiting(i);
    }
  }
  if (draining_) return;
  for (std::uint64_t n = random_.between(0, options_.burst); n > 0; --n) {
    if (operations_ >= options_.operations_max) return;
    ++operations_;
    issue();
  }
}

void WorkloadClient::issue() {
  switch (random_.below(10)) {
    case 0:
    case 1:
      if (options_.plain) return append_plain();
      break;
    case 2:
      if (options_.reads) return read_session(any_group());
      break;
    case 3:
      if (options_.reads) return read_at_node();
      break;
    case 4:
      if (options_.trims && random_.below(8) == 0) return trim();
      break;
    default:
      break;
  }
  if (!producers_.empty()) {
    append_as(random_.below(producers_.size()));
  } else {
    append_plain();
  }
}

GroupId WorkloadClient::any_group() {
  return GroupId(static_cast<std::uint32_t>(random_.below(options_.groups)));
}

Uid WorkloadClient::next_uid() { return (std::uint64_t{machine_.number} << 48) + next_uid_++; }

std::span<const std::byte> WorkloadClient::payload(Uid uid, std::uint32_t size_bytes) {
  buffer_.resize(size_bytes);
  fill_payload(uid, buffer_);
  return buffer_;
}

std::uint64_t WorkloadClient::remember(Pending pending) {
  pending_[next_tag_] = pending;
  return next_tag_++;
}

WorkloadClient::Pending WorkloadClient::take(std::uint64_t tag) {
  const auto found = pending_.find(tag);
  if (found == pending_.end()) {
    world_.report(machine_.name + ": an outcome came for a request that has had one");
    return {};
  }
  const Pending pending = found->second;
  pending_.erase(found);
  return pending;
}

void WorkloadClient::append_plain() {
  const Uid uid = next_uid();
  const GroupId group = any_group();
  const auto size = static_cast<std::uint32_t>(
      random_.between(kPayloadBytesMin, options_.entry_bytes_max));
  client::AppendOptions options{.group = group};
  options.timeout_ms = static_cast<std::uint32_t>(random_.between(50, 3000));
  if (options_.named && random_.below(4) == 0) {
    options.node = NodeId(static_cast<std::uint32_t>(random_.between(1, options_.nodes)));
  }
  const auto tag = remember({.kind = Pending::Kind::kPlain, .group = group, .uid = uid});
  client_->append(tag, options, payload(uid, size));
}

void WorkloadClient::append_as(std::size_t number) {
  Producer& producer = producers_[number];
  if (producer.window.size() >= options_.window || producer.again) return;
  Item item;
  item.uid = next_uid();
  item.sequence = producer.next_sequence++;
  item.size_bytes = static_cast<std::uint32_t>(
      random_.between(kPayloadBytesMin, options_.entry_bytes_max));
  producer.window.push_back(item);
  send_waiting(number);
}

void WorkloadClient::send_waiting(std::size_t number) {
  Producer& producer = producers_[number];
  for (Item& item : producer.window) {
    if (item.state != Item::State::kToSend) continue;
    item.state = Item::State::kInFlight;
    ++producer.in_flight;
    client::AppendOptions options{.group = producer.group};
    options.producer = producer.id;
    options.sequence = Sequence(item.sequence);
    options.timeout_ms = static_cast<std::uint32_t>(random_.between(200, 3000));
    const auto tag = remember({.kind = Pending::Kind::kProducer,
                               .group = producer.group,
                               .uid = item.uid,
                               .producer = number,
                               .sequence = item.sequence});
    client_->append(tag, options, payload(item.uid, item.size_bytes));
  }
}

void WorkloadClient::read_session(GroupId group) {
  Session& session = sessions_[group.value()];
  if (session.busy) return;
  session.busy = true;
  client::ReadOptions options{.group = group, .from = session.from};
  options.count_max = static_cast<std::uint32_t>(random_.between(1, 24));
  options.timeout_ms = static_cast<std::uint32_t>(random_.between(100, 2000));
  options.wait_ms = random_.coin() ? static_cast<std::uint32_t>(random_.below(500)) : 0;
  const auto tag = remember({.kind = Pending::Kind::kRead,
                             .group = group,
                             .from = session.from,
                             .count = options.count_max});
  client_->read(tag, options);
}

void WorkloadClient::read_at_node() {
  const GroupId group = any_group();
  const Index last = shadow_.last_index(group);
  client::ReadOptions options{.group = group};
  // Also beyond what is committed: nothing may come from there.
  options.from = Index(random_.between(1, last.value() + 3));
  options.count_max = static_cast<std::uint32_t>(random_.between(1, 24));
  options.timeout_ms = static_cast<std::uint32_t>(random_.between(100, 2000));
  options.wait_ms = random_.coin() ? static_cast<std::uint32_t>(random_.below(500)) : 0;
  options.node = NodeId(static_cast<std::uint32_t>(random_.between(1, options_.nodes)));
  const auto tag = remember({.kind = Pending::Kind::kNodeRead,
                             .group = group,
                             .from = options.from,
                             .count = options.count_max});
  client_->read(tag, options);
}

void WorkloadClient::trim() {
  const GroupId group = any_group();
  const Index last = shadow_.last_index(group);
  if (last < Index(4)) return;
  // Also beyond what is committed: nothing may be given up there.
  const Index first(random_.between(2, last.value() + 10));
  client_->trim(remember({.kind = Pending::Kind::kTrim, .group = group}), group, first, 1000);
}

void WorkloadClient::read_everything(NodeId node) {
  audit_ = {node, options_.groups};
  audit_wanted_ = true;
}

void WorkloadClient::probe() {
  for (std::uint32_t g = 0; g < options_.groups; ++g) probes_[GroupId(g)] = false;
}

void WorkloadClient::audit_read(GroupId group, Index from) {
  const auto tag = remember({.kind = Pending::Kind::kAudit,
                             .group = group,
                             .from = from,
                             .node = audit_.node});
  client_->read(tag, {.group = group,
                      .from = from,
                      .count_max = 10'000,
                      .timeout_ms = kAuditTimeoutMs,
                      .node = audit_.node});
}

// --- what it hears ---------------------------------------------------------------------------

void WorkloadClient::on_append(std::uint64_t tag, const client::AppendOutcome& outcome) {
  const Pending pending = take(tag);
  world_.mix(pending.uid ^ static_cast<std::uint64_t>(outcome.status) << 60);
  if (world_.tracing && outcome.status != Status::kOk) {
    world_.trace(machine_.name, "append of uid " + std::to_string(pending.uid & 0xFFFFFFFF) +
                                    " to group " + std::to_string(pending.group.value()) + ": " +
                                    std::string(code_name(outcome.code)));
  }
  if (outcome.status == Status::kOk) {
    shadow_.acknowledged({pending.group, outcome.index, outcome.term}, pending.uid, machine_.name);
    if (pending.kind == Pending::Kind::kProbe) probes_.erase(pending.group);
  } else if (pending.kind != Pending::Kind::kProducer &&
             (outcome.status == Status::kRefused || outcome.status == Status::kNotLeader)) {
    shadow_.refused(pending.uid, machine_.name);
  }
  if (pending.kind == Pending::Kind::kProbe && outcome.status != Status::kOk) {
    probes_[pending.group] = false;
  }
  if (pending.kind == Pending::Kind::kProducer) on_producer_outcome(pending, outcome);
}

void WorkloadClient::on_producer_outcome(const Pending& pending,
                                         const client::AppendOutcome& outcome) {
  Producer& producer = producers_[pending.producer];
  --producer.in_flight;
  const auto item = std::ranges::find(producer.window, pending.uid, &Item::uid);
  if (item == producer.window.end()) return;
  if (outcome.status == Status::kOk) {
    item->state = Item::State::kDone;
  } else {
    if (outcome.code == Errc::kSequenceTooOld) {
      world_.report(machine_.name + ": sequence " + std::to_string(pending.sequence) +
                    " was forgotten before it was acknowledged (S47)");
    }
    item->state = Item::State::kToSend;
    producer.again = true;
    if (outcome.status == Status::kUnknown) item->maybe = true;
    if (!item->maybe) {
      // Certainly in no log: another entry may take its sequence, and does.
      shadow_.refused(item->uid, machine_.name);
      item->uid = next_uid();
    }
  }
  while (!producer.window.empty() && producer.window.front().state == Item::State::kDone) {
    producer.window.pop_front();
  }
}

void WorkloadClient::check_entries(const Pending& pending, const client::ReadOutcome& outcome) {
  if (outcome.commit_index > shadow_.last_index(pending.group)) {
    world_.report(machine_.name + ": a node says that " +
                  std::to_string(outcome.commit_index.value()) + " is committed in group " +
                  std::to_string(pending.group.value()) + ", which is not so");
  }
  Index next = pending.from;
  for (const client::Entry& entry : outcome.entries) {
    if (entry.index != next) {
      world_.report(machine_.name + ": asked for index " + std::to_string(next.value()) +
                    ", got " + std::to_string(entry.index.value()));
      return;
    }
    shadow_.was_read(pending.group, entry.index, entry.term, entry.internal, entry.data,
                     machine_.name);
    next = next.next();
  }
  if (pending.count > 0 && outcome.entries.size() > pending.count) {
    world_.report(machine_.name + ": got more entries than it asked for");
  }
}

void WorkloadClient::on_read(std::uint64_t tag, const client::ReadOutcome& outcome) {
  const Pending pending = take(tag);
  if (outcome.code == Errc::kOk) check_entries(pending, outcome);
  if (pending.kind == Pending::Kind::kRead) {
    Session& session = sessions_[pending.group.value()];
    session.busy = false;
    if (outcome.code == Errc::kTrimmed) session.from = outcome.first_index;
    if (outcome.code != Errc::kOk) return;
    if (outcome.commit_index < session.commit_seen) {
      world_.report(machine_.name + ": reads of group " + std::to_string(pending.group.value()) +
                    " went back from commit index " + std::to_string(session.commit_seen.value()) +
                    " to " + std::to_string(outcome.commit_index.value()) + " (S50)");
    }
    session.commit_seen = outcome.commit_index;
    if (!outcome.entries.empty()) session.from = outcome.entries.back().index.next();
    return;
  }
  if (pending.kind != Pending::Kind::kAudit || audit_.groups_left == 0) return;
  if (pending.node != audit_.node) return;  // of a node that was given up
  if (outcome.code == Errc::kTrimmed) return audit_read(pending.group, outcome.first_index);
  if (outcome.code != Errc::kOk) return audit_read(pending.group, pending.from);
  const Index last = shadow_.last_index(pending.group);
  const Index reached =
      outcome.entries.empty() ? pending.from - 1 : outcome.entries.back().index;
  if (reached < last) return audit_read(pending.group, reached.next());
  --audit_.groups_left;
}

void WorkloadClient::on_trim(std::uint64_t tag, const client::TrimOutcome&) { (void)take(tag); }

}  // namespace sluice::sim
