// Clients that can see damage: producers that retry until they know, appends without a producer whose
// outcome is believed to the letter, readers at every node, trims.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/client/client.h"
#include "tests/sim/process.h"
#include "tests/sim/shadow_log.h"

namespace sluice::sim {

struct WorkloadOptions {
  std::size_t nodes = 3;
  std::uint32_t groups = 1;
  std::uint32_t producers = 2;       // of each client; each writes to one group
  std::uint32_t interval_us = 5000;  // between two bursts of a client
  std::uint32_t burst = 4;           // operations at most, at a time
  std::uint32_t entry_bytes_max = 200;
  std::uint32_t window = 32;         // a producer's entries without an outcome
  std::uint64_t operations_max = ~std::uint64_t{0};
  bool plain = true;                 // appends without a producer
  bool named = true;                 // of those, some to one node alone
  bool reads = true;
  bool trims = false;
};

class WorkloadClient final : public client::Events {
 public:
  WorkloadClient(World& world, Network& network, Machine& machine, ShadowLog& shadow,
                 WorkloadOptions options, std::vector<std::string> addresses);
  ~WorkloadClient() override;

  void start();
  /// No new entries; producers go on until they know what became of theirs.
  void drain() { draining_ = true; }
  [[nodiscard]] bool drained() const;
  /// Reads everything that one node holds, and compares. `read_everything_done()` says when.
  void read_everything(NodeId node);
  [[nodiscard]] bool read_everything_done() const { return audit_.groups_left == 0; }
  void stop_reading() { audit_.groups_left = 0; }
  /// Appends an entry to every group, again and again until one was acknowledged in each.
  void probe();
  [[nodiscard]] std::size_t probes_left() const { return probes_.size(); }
  /// Closes the client; its process ends.
  void close() { closing_ = true; }
  [[nodiscard]] bool ended() const { return !process_ || process_->ended(); }
  [[nodiscard]] Process* process() { return process_.get(); }
  [[nodiscard]] std::uint64_t operations() const { return operations_; }
  [[nodiscard]] std::string pending_text() const;

 private:
  struct Item {
    Uid uid = 0;
    std::uint64_t sequence = 0;
    std::uint32_t size_bytes = 0;
    enum class State : std::uint8_t { kToSend, kInFlight, kDone } state = State::kToSend;
    bool maybe = false;  // an earlier request with it may have entered the log
  };
  /// One writer of one group. After any outcome but ok it waits until everything that is in flight
  /// has an outcome, then appends again, in order, what is not acknowledged.
  struct Producer {
    ProducerId id;
    GroupId group;
    std::uint64_t next_sequence = 1;
    std::deque<Item> window;
    std::size_t in_flight = 0;
    bool again = false;
  };
  struct Session {  // of reads from any node
    Index from{1};
    Index commit_seen;
    bool busy = false;
  };
  struct Pending {
    enum class Kind : std::uint8_t { kPlain, kProducer, kRead, kNodeRead, kAudit, kTrim, kProbe };
    Kind kind{};
    GroupId group;
    Uid uid = 0;
    std::size_t producer = 0;
    Index from{};
    std::uint64_t sequence = 0;
    std::uint32_t count = 0;
    NodeId node{};
  };
  struct Audit {
    NodeId node;
    std::uint32_t groups_left = 0;
  };

  void main(SimIo& io);
  void on_tick(std::int32_t result);
  void issue();
  void append_plain();
  void append_as(std::size_t producer);
  void send_waiting(std::size_t producer);
  void read_session(GroupId group);
  void read_at_node();
  void audit_read(GroupId group, Index from);
  void trim();
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override;
  void on_producer_outcome(const Pending& pending, const client::AppendOutcome& outcome);
  void on_read(std::uint64_t tag, const client::ReadOutcome& outcome) override;
  void on_trim(std::uint64_t tag, const client::TrimOutcome& outcome) override;
  void check_entries(const Pending& pending, const client::ReadOutcome& outcome);
  [[nodiscard]] std::uint64_t remember(Pending pending);
  [[nodiscard]] Pending take(std::uint64_t tag);
  [[nodiscard]] Uid next_uid();
  [[nodiscard]] std::span<const std::byte> payload(Uid uid, std::uint32_t size_bytes);
  [[nodiscard]] GroupId any_group();

  World& world_;
  Network& network_;
  Machine& machine_;
  ShadowLog& shadow_;
  WorkloadOptions options_;
  std::vector<std::string> addresses_;
  Random random_;
  std::unique_ptr<Process> process_;
  client::Client* client_ = nullptr;
  SimIo* io_ = nullptr;
  io::Completion tick_{io::Completion::bind<&WorkloadClient::on_tick>(this)};
  std::vector<Producer> producers_;
  std::vector<Session> sessions_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::vector<std::byte> buffer_;
  Audit audit_;
  bool audit_wanted_ = false;
  std::map<GroupId, bool> probes_;  // still to be acknowledged; true: one is under way
  std::uint64_t next_tag_ = 1;
  std::uint64_t next_uid_ = 1;
  std::uint64_t operations_ = 0;
  bool draining_ = false;
  bool closing_ = false;
};

}  // namespace sluice::sim
