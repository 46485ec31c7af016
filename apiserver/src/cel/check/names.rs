//! What has a name of its own: variables that are expressions, the request's resource, types of objects.

use super::{
    super::{
        Type,
        ast::{Expr, Message, Node, Select},
        library::RESOURCE_CHECK,
        message::{JSON_PATCH, is_type},
    },
    Checker, Known,
};

impl Checker<'_> {
    /// What has a name of several parts: one of the `variables`, `authorizer.requestResource`.
    pub(super) fn qualified(
        &mut self,
        expr: &Expr,
        operand: &Expr,
        field: &str,
        how: Select,
    ) -> Option<Known> {
        let Node::Ident(name) = &operand.node else { return None };
        if self.scopes.iter().any(|(var, _)| var == name) {
            return None;
        }
        let environment = self.environment;
        let found = match (name.as_str(), &environment.composed) {
            ("variables", Some(composed)) => match composed.get(field) {
                Some(ty) => Known::from(ty.clone()),
                None => return Some(self.complain(expr.at, format!("undefined field '{field}'"))),
            },
            ("authorizer", _) if field == "requestResource" && environment.variables.contains_key(name) => {
                Known::from(Type::Opaque(RESOURCE_CHECK))
            }
            _ => return None,
        };
        Some(match how {
            Select::Test => Type::Bool.into(),
            Select::Plain => found,
            Select::Optional => Type::optional(found.ty).into(),
        })
    }

    pub(super) fn message(&mut self, expr: &Expr, message: &Message) -> Known {
        let known = self.environment.messages && is_type(&message.name);
        for field in &message.fields {
            let mut ty = self.expr(&field.value).ty;
            if field.optional {
                ty = self.unwrapped(&field.value, ty);
            }
            let is_text = match (message.name.as_str(), field.name.as_str()) {
                (JSON_PATCH, "op" | "path" | "from") => true,
                (JSON_PATCH, "value") => false,
                (JSON_PATCH, other) => {
                    self.complain(field.at, format!("undefined field '{other}'"));
                    false
                }
                _ => false,
            };
            if is_text && !matches!(ty, Type::String | Type::Dyn | Type::Error) {
                let name = &field.name;
                let words =
                    format!("expected type of field '{name}' is 'string' but provided type is '{ty}'");
                self.complain(field.at, words);
            }
        }
        if !known {
            let words = format!("undeclared reference to '{}' (in container '')", message.name);
            return self.complain(expr.at, words);
        }
        Type::Message(message.name.as_str().into()).into()
    }
}
