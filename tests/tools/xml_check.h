// Whether a text is well-formed XML, as far as our own writers go: one root, tags closed in order,
// attributes in double quotes and given once, no bare < or &.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

/// Empty, or what is wrong.
inline std::string xml_problem(std::string_view text) {
  const auto bad_text = [](std::string_view piece) {
    for (std::size_t at = piece.find('&'); at != piece.npos; at = piece.find('&', at + 1)) {
      bool known = false;
      for (const char* entity : {"&lt;", "&gt;", "&amp;", "&quot;"})
        known = known || piece.substr(at).starts_with(entity);
      if (!known) return true;
    }
    return piece.find('<') != piece.npos;
  };
  std::vector<std::string> open;
  int roots = 0;
  if (text.starts_with("<?xml")) text.remove_prefix(text.find("?>") + 2);
  while (!text.empty()) {
    const std::size_t begin = text.find('<');
    const std::string_view between = text.substr(0, begin);
    if (bad_text(between)) return "text: " + std::string(between);
    if (open.empty() && between.find_first_not_of(" \n") != between.npos) return "text outside";
    if (begin == text.npos) break;
    const std::size_t end = text.find('>', begin);
    if (end == text.npos) return "a tag without its end";
    std::string_view tag = text.substr(begin + 1, end - begin - 1);
    text.remove_prefix(end + 1);
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return "closes " + std::string(tag);
      open.pop_back();
      continue;
    }
    const bool empty = tag.ends_with('/');
    if (empty) tag.remove_suffix(1);
    const std::string name(tag.substr(0, tag.find(' ')));
    tag.remove_prefix(name.size());
    std::set<std::string_view> seen;
    while (tag.find_first_not_of(' ') != tag.npos) {
      tag.remove_prefix(tag.find_first_not_of(' '));
      const std::size_t equals = tag.find("=\"");
      const std::size_t close = equals == tag.npos ? equals : tag.find('"', equals + 2);
      if (close == tag.npos) return "attributes of " + name;
      if (!seen.insert(tag.substr(0, equals)).second) return "twice in " + name;
      if (bad_text(tag.substr(equals + 2, close - equals - 2))) return "value in " + name;
      tag.remove_prefix(close + 1);
    }
    if (open.empty()) ++roots;
    if (!empty) open.push_back(name);
  }
  if (!open.empty()) return "not closed: " + open.back();
  return roots == 1 ? "" : "not one root";
}

}  // namespace sluice::tools
