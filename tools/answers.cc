#include "tools/answers.h"

#include <fmt/format.h>

#include "tools/json.h"
#include "tools/stage_report.h"
#include "tools/text.h"

namespace sluice::tools {

std::string explain(Errc code) {
  switch (code) {
    case Errc::kTooLarge:
      return "the entry does not fit in the largest batch: make it smaller, or raise "
             "--batch-bytes-max here and on the nodes";
    case Errc::kUnknownGroup:
      return "the cluster has no such group: they are numbered from 0";
    case Errc::kNoSpace:
      return "the disk of the leader is full: make room, then try again";
    case Errc::kOverloaded:
      return "the node is at its bounds: try again later";
    case Errc::kUnreachable:
      return "no connection to the node could be made";
    case Errc::kSequenceGap:
      return "this is not the producer's next sequence";
    case Errc::kSequenceTooOld:
      return "the sequence is older than what is remembered of the producer";
    case Errc::kWrongCluster:
      return "the node belongs to another cluster";
    case Errc::kInvalidRequest:
      return "the request is not valid";
    case Errc::kShuttingDown:
      return "the node is stopping";
    case Errc::kNotLeader:
      return "the node does not lead this group";
    case Errc::kTimeout:
      return "no answer came in time: the entry may or may not be in the log";
    case Errc::kConnectionLost:
      return "the connection broke after sending: the entry may or may not be in the log";
    case Errc::kLeadershipLost:
      return "the leader lost its office before the entry committed: it may or may not be in the "
             "log";
    case Errc::kTrimmed:
      return "the log begins later: what was before has been trimmed";
    default:
      return fmt::format("failed: {}", code_name(code));
  }
}

std::string_view role_name(std::uint8_t role) {
  static constexpr std::string_view kNames[] = {"follower", "pre_candidate", "candidate", "leader"};
  return role < std::size(kNames) ? kNames[role] : "unknown";
}

Json append_json(const client::AppendOutcome& outcome) {
  Json answer;
  if (outcome.status == client::Status::kOk) {
    answer["ok"] = true;
    answer["index"] = outcome.index.value();
    answer["term"] = outcome.term.value();
    return answer;
  }
  const bool not_leader = outcome.status == client::Status::kNotLeader;
  answer["ok"] = false;
  answer["error"] = not_leader                                   ? "not_leader"
                    : outcome.status == client::Status::kRefused ? "refused"
                                                                 : "unknown";
  answer["code"] = code_name(outcome.code);
  answer["message"] = explain(outcome.code);
  if (not_leader || outcome.leader != kNoNode) answer["leader_id"] = outcome.leader.value();
  if (outcome.code == Errc::kSequenceGap) answer["expected_sequence"] = outcome.expected.value();
  return answer;
}

Json entry_json(const client::Entry& entry) {
  Json json;
  json["index"] = entry.index.value();
  json["term"] = entry.term.value();
  if (entry.internal) {
    json["internal"] = true;
  } else if (const std::string_view text = as_text(entry.data); is_utf8(text)) {
    json["data"] = text;
  } else {
    json["data_base64"] = base64_encode(text);
  }
  return json;
}

Json read_json(const client::ReadOutcome& outcome) {
  Json answer;
  answer["ok"] = outcome.code == Errc::kOk;
  if (outcome.code == Errc::kOk) {
    answer["commit_index"] = outcome.commit_index.value();
    Json& entries = answer["entries"] = Json::array();
    for (const client::Entry& entry : outcome.entries) entries.push_back(entry_json(entry));
    return answer;
  }
  answer["error"] = code_name(outcome.code);
  answer["code"] = code_name(outcome.code);
  answer["message"] =
      outcome.code == Errc::kTimeout ? "no answer came in time" : explain(outcome.code);
  if (outcome.code == Errc::kTrimmed) answer["first_index"] = outcome.first_index.value();
  return answer;
}

Json status_json(const client::NodeStatus& status) {
  Json json;
  json["node_id"] = status.node == kNoNode ? Json() : Json(status.node.value());
  json["reachable"] = status.reachable;
  json["address"] = status.address;
  if (!status.reachable) {
    json["code"] = code_name(status.code);
    json["groups"] = Json::array();
    return json;
  }
  json["fsync"] = status.fsync_policy;
  Json& groups = json["groups"] = Json::array();
  for (const client::GroupState& group : status.groups) {
    Json& one = groups.emplace_back();
    one["group"] = group.group.value();
    one["role"] = role_name(group.role);
    one["term"] = group.term.value();
    one["leader_id"] = group.leader.value();
    one["first_index"] = group.first_index.value();
    one["last_index"] = group.last_index.value();
    one["durable_index"] = group.durable_index.value();
    one["commit_index"] = group.commit_index.value();
  }
  Json& counters = json["counters"];
  counters["chunks_written"] = status.counters.chunks_written();
  counters["flushes"] = status.counters.flushes();
  counters["bytes_written"] = status.counters.bytes_written();
  counters["batches_appended"] = status.counters.batches_appended();
  counters["entries_appended"] = status.counters.entries_appended();
  counters["memory_bytes"] = status.counters.memory_bytes();
  json["stages"] = stages_json(StageCounts(status.stages));
  return json;
}

Json invalid_json(std::string_view message) {
  Json answer;
  answer["ok"] = false;
  answer["error"] = "refused";
  answer["code"] = code_name(Errc::kInvalidRequest);
  answer["message"] = message;
  return answer;
}

}  // namespace sluice::tools
