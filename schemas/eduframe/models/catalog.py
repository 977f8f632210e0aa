"""What is on offer: catalog products and their variants, courses, categories."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import CustomFields, Date, Money, OneOf, Row, Timestamp
from schemas.eduframe.models.common import (
    CatalogProductId,
    CategoryId,
    CostScheme,
    CourseLocationId,
    CourseTabId,
    CourseVariantId,
    Currency,
    CustomAssociations,
    EditionDescriptionSectionId,
    LabelId,
    PlannedCourseType,
    deprecated,
)

Availability = Annotated[str, OneOf("available", "limited_availability", "not_available")]
ProductableType = Annotated[str, OneOf("Course", "Program::Program")]
VariantableType = Annotated[str, OneOf("PlannedCourse", "Program::Edition")]


class CourseTabContent(Row):
    """What a catalog product says under one course tab."""

    id: int
    course_tab_id: CourseTabId
    content: str | None


class CatalogProduct(Row):
    """A course or program as the catalog offers it."""

    id: int
    name: str
    slug: str
    label_ids: list[LabelId]
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    cost: Money | None
    currency: Currency
    productable_type: ProductableType = Field(description="What is sold: a course or a program.")
    productable_id: int = Field(description="The id of that course or program.")
    avatar: str = Field(description="Address of the picture.")
    position: int = Field(description="Place among the products of the category.")
    conditions_or_default: str | None = Field(
        description="The product's own terms, or the educator's where it has none."
    )
    category_id: CategoryId
    is_published: bool
    show_on_website: bool
    signup_url: str
    updated_at: Timestamp
    created_at: Timestamp
    course_tab_contents: list[CourseTabContent] | None = None
    custom: CustomFields | None = None
    custom_associations: CustomAssociations | None = None


class EditionDescriptionSectionContent(Row):
    """What a catalog variant says in one description section."""

    edition_description_section_id: EditionDescriptionSectionId
    content: str | None


class CatalogVariantProperties(Row):
    """Place and time of what a catalog variant sells."""

    course_location_id: CourseLocationId | None
    course_variant_id: CourseVariantId | None
    end_date: Date | None
    start_date: Date | None
    type: PlannedCourseType | None


class CatalogVariant(Row):
    """A planned course or program edition as the catalog offers it."""

    id: int
    product_id: CatalogProductId
    name: str
    sku: str | None = Field(None, description="Stock-keeping unit: the educator's own code.")
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    cost: Money | None
    currency: Currency
    variantable_type: VariantableType = Field(
        description="What is sold: a planned course or a program edition."
    )
    variantable_id: int = Field(description="The id of that planned course or program edition.")
    availability: Availability
    available_places: int = Field(description="How many places are left.")
    is_published: bool
    show_on_website: bool
    updated_at: Timestamp
    created_at: Timestamp
    edition_description_section_contents: list[EditionDescriptionSectionContent] | None = None
    properties: CatalogVariantProperties
    custom: CustomFields | None = None
    custom_associations: CustomAssociations | None = None


class Category(Row):
    """A heading of the catalog; categories can stand under one another."""

    id: int
    name: str
    position: int = Field(description="Place among the categories.")
    avatar: str = Field(description="Address of the picture.")
    avatar_url: str
    products_count: int = deprecated()
    courses_count: int = deprecated()
    children_count: int = deprecated("How many categories stand directly under this one.")
    slug: str
    description: str | None
    is_published: bool
    meta_title: str | None = deprecated("Page title for search engines.")
    meta_description: str | None = deprecated("Page description for search engines.")
    parent_id: CategoryId | None = Field(description="The category above this one.")
    updated_at: Timestamp
    created_at: Timestamp


class Course(Row):
    """A course, apart from when and where it is given."""

    id: int
    position: int = Field(description="Place among the courses of the category.")
    starting_price: Money | None = Field(description="The lowest price it is offered for.")
    signup_url: str
    slug: str
    slug_history: list[str] = Field(description="Slugs that the course had before.")
    avatar: str = Field(description="Address of the picture.")
    avatar_url: str
    avatar_thumb_url: str
    conditions_or_default: str | None = Field(
        description="The course's own terms, or the educator's where it has none."
    )
    website_url: str | None
    certificate_template_id: int | None
    category_id: CategoryId
    name: str
    code: str
    duration: str | None = Field(None, description="How long it takes, in words.")
    level: str | None = None
    meta_title: str | None = deprecated("Page title for search engines.")
    meta_description: str | None = deprecated("Page description for search engines.")
    result: str | None = Field(None, description="What passing it gives, in words.")
    label_ids: list[LabelId]
    cost: Money | None
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    is_published: bool
    updated_at: Timestamp
    created_at: Timestamp
    custom: CustomFields


class CourseTab(Row):
    """A heading under which courses describe themselves."""

    id: int
    name: str
    position: int = Field(description="Place among the tabs.")


class CourseVariant(Row):
    """A form in which courses are given, such as evening or online."""

    id: int
    name: str
    updated_at: Timestamp
    created_at: Timestamp


class EditionDescriptionSection(Row):
    """A heading under which catalog variants describe themselves."""

    id: int
    name: str
